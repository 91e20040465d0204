"""The history of a small CRM, a chapter for each window: everything that can happen to a record, and to a person.

What belongs here: what happens in the CRM, and how the organisation and the settings are that it is synced with.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from contact_sync.settings import Settings
from contact_sync.simulator.settings import TwinSettings
from contact_sync_tests.steps.world import DELIVERY, SmallCrm, moment, settings_of

CONCURRENCY = 4
ITEMS_A_REQUEST = 3, 2
"""Upserts and removals: few, so that there are many requests."""
CROWD = 36
ORGANIZATION = TwinSettings(requests_per_minute=1_000_000, require_name=True)
NEVER_DELIVERED = {"nameless2": "dead"}
"""What is on the retry queue when everything is over: the organisation refuses a contact without a name."""

_MINUTE = timedelta(minutes=1)


def settings() -> Settings:
    """Return the settings: few requests at once, deletes that wait for a window, attempts without end."""
    return settings_of(
        delivery=DELIVERY | {"concurrency": CONCURRENCY, "delete_grace_minutes": 30, "max_attempts": 100}
    )


def live(crm: SmallCrm, chapter: int) -> None:
    """Let a chapter happen."""
    CHAPTERS[chapter](crm, moment(chapter))


def _people_come(crm: SmallCrm, at: datetime) -> None:
    crm.people(CROWD, at, job_title="Engineer", country="DE")
    for crm_id, phone in (("ada1", "+4930111111"), ("ada2", "+4930222222")):
        crm.put(crm_id, at, first_name="Ada", last_name="Lovelace", email="ada@example.org", work_phone=phone)
    for crm_id in ("eva1", "eva2", "eva3", "eva4"):
        crm.put(crm_id, at, first_name="Eva", last_name="Mayer", email="eva@example.org")
    for crm_id in ("nameless1", "nameless2"):
        crm.put(crm_id, at, email=f"{crm_id}@example.org")
    crm.put("nobody", at, job_title="Ghost")


def _records_change(crm: SmallCrm, at: datetime) -> None:
    for number in range(10):
        crm.put(f"p{number}", at, job_title="Buyer", city="Berlin")
    for crm_id in ("p10", "p11", "p12"):
        crm.delete(crm_id, at)
    _re_index(crm, at, "p13", "q13")
    crm.put("p14", at, is_deleted=1, merged_into="p15")
    for crm_id, name in (("eva2", "Bea"), ("eva3", "Cleo"), ("eva4", "Dora")):  # they were somebody else all along
        crm.put(crm_id, at, first_name=name, email=f"{name}@example.org")
    crm.people(5, at, first=CROWD, mobile_phone="+4915112345678")  # one number that is nobody's own


def _some_go_back(crm: SmallCrm, at: datetime) -> None:
    crm.put("p0", at, job_title=None, city=None)
    crm.put("p1", at, job_title="Engineer", city=None)  # as it was at first
    crm.put("p36", at, mobile_phone=None)
    crm.put("p10", at, is_deleted=0)
    crm.put("nameless1", at, first_name="Named", last_name="At Last")
    crm.delete("ada1", at)
    crm.delete("eva3", at)
    crm.put("eva4", at, is_deleted=1, merged_into="eva1")
    _re_index(crm, at, "p16", "q16", work_phone="+4930333333")  # another business key, too
    _re_index(crm, at, "p37", "q37", work_phone="+4930444444")
    crm.people(4, at, first=CROWD + 5)


def _some_leave(crm: SmallCrm, at: datetime) -> None:
    for crm_id in ("p41", "q13", "p38", "p2"):
        crm.delete(crm_id, at)
    crm.put("ada2", at, job_title="Countess")
    crm.put("p42", at, city="Paris")
    _re_index(crm, at, "p43", "q43", work_phone="+4930555555")


def _re_index(crm: SmallCrm, at: datetime, old: str, new: str, **columns: str) -> None:
    """Give a person a new record, some of its columns changed, and delete the old one."""
    number = old.removeprefix("p")
    person = {"first_name": f"First{number}", "last_name": f"Last{number}", "email": f"{old}@example.org"}
    crm.put(new, at + _MINUTE, **(person | columns))
    crm.delete(old, at)


def _nothing_happens(crm: SmallCrm, at: datetime) -> None:
    """Let a grace period pass."""


CHAPTERS: Sequence[Callable[[SmallCrm, datetime], None]] = (
    _people_come,
    _records_change,
    _some_go_back,
    _some_leave,
    _nothing_happens,
)

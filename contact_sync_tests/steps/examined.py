"""What the tests of the doctor share: a project whose client may do just enough, and reading what is found."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from contact_sync.genesys.permissions import NEEDED, NEEDED_FOR_CUSTOM_FIELDS, NEEDED_FOR_ORGANIZATIONS
from contact_sync.steps.diagnosis import Check
from contact_sync.steps.doctor import examine
from contact_sync_tests.project import CLIENT

NAMES = [one.name for one in (*NEEDED, *NEEDED_FOR_CUSTOM_FIELDS, *NEEDED_FOR_ORGANIZATIONS)]
LEAST = {CLIENT: frozenset(NAMES)}


def now() -> datetime:
    return datetime.now(UTC)


def found(clock: Callable[[], datetime] = now) -> list[Check]:
    return list(examine(clock))


def verdicts(checks: Sequence[Check], verdict: str) -> list[str]:
    """Return the names of the checks that end so, each once."""
    return list(dict.fromkeys(check.name for check in checks if check.verdict == verdict))


def says(checks: Sequence[Check], name: str) -> str:
    return "\n".join(check.says for check in checks if check.name == name)


def the_one_failure(checks: Sequence[Check]) -> Check:
    [failed] = [check for check in checks if check.verdict == "fail"]
    return failed

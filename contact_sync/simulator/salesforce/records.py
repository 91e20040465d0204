"""The records of the organisation: written, deleted, merged, restored, and gone for good.

What belongs here: what a record holds and when others see it. Values are replaced, never changed, so that a query
keeps what it found. Finding records is `soql`'s.
"""

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from contact_sync.simulator.salesforce.schema import OBJECTS
from contact_sync.simulator.salesforce.settings import OrgSettings

Values = Mapping[str, Any]

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def record_id(prefix: str, number: int) -> str:
    """Return the 18-character id of the so many-th record of an object."""
    digits = ""
    for _ in range(12):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return with_checksum(prefix + digits)


def with_checksum(id15: str) -> str:
    """Return a 15-character id with the three characters that tell its upper case apart."""
    parts = (id15[start : start + 5] for start in (0, 5, 10))
    return id15 + "".join(
        _CHECKSUM[sum(1 << place for place, one in enumerate(p) if one.isupper())] for p in parts
    )


@dataclass(frozen=True, slots=True)
class Deleted:
    """A record of the log of deletions."""

    id: str
    at: datetime


class Records:
    """What the organisation holds; safe to share between threads."""

    def __init__(self, settings: OrgSettings) -> None:
        self._settings = settings
        self._lock = threading.RLock()
        self._held: dict[str, dict[str, Values]] = {name: {} for name in OBJECTS}
        self._deleted: dict[str, dict[str, Deleted]] = {name: {} for name in OBJECTS}
        self._pending: list[tuple[datetime, str, Values]] = []

    def now(self) -> datetime:
        """Return the organisation's own time."""
        return datetime.fromtimestamp(self._settings.now(), UTC)

    def get(self, name: str, crm_id: str) -> Values | None:
        """Return a record, in the recycle bin or not."""
        self._settle()
        return self._held[name].get(crm_id)

    def all(self, name: str, *, deleted: bool) -> list[Values]:
        """Return every record of an object, with those in the recycle bin if `deleted`."""
        self._settle()
        with self._lock:
            return [one for one in self._held[name].values() if deleted or not one["IsDeleted"]]

    def parent(self, name: str, crm_id: str | None) -> Values | None:
        """Return the record that a reference leads to."""
        return self._held[name].get(crm_id) if crm_id else None

    def put(
        self, name: str, values: Values, *, at: datetime | None = None, visible_at: datetime | None = None
    ) -> None:
        """Write a record.

        Args:
            name: The object.
            values: Its fields with `Id`; those that are left out keep their value.
            at: When it was written: its SystemModstamp, in whole seconds.
            visible_at: When its transaction commits: until then nobody sees it.
        """
        written = {**_stamp(at or self.now()), **values}
        with self._lock:
            if visible_at is None:
                self._write(name, written)
            else:
                self._pending.append((visible_at, name, written))

    def put_all(self, name: str, records: Iterable[Values], *, at: datetime) -> None:
        """Write many records of one transaction."""
        for values in records:
            self.put(name, values, at=at)

    def delete(self, name: str, ids: Iterable[str], *, at: datetime | None = None) -> None:
        """Put records into the recycle bin."""
        for crm_id in ids:
            self.put(name, {"Id": crm_id, "IsDeleted": True}, at=at)

    def merge(self, name: str, survivor: str, losers: Iterable[str], *, at: datetime | None = None) -> None:
        """Merge `losers` into `survivor`, which keeps no trace of it."""
        for loser in losers:
            self.put(name, {"Id": loser, "IsDeleted": True, "MasterRecordId": survivor}, at=at)
        self.put(name, {"Id": survivor}, at=at)

    def undelete(self, name: str, crm_id: str, *, at: datetime | None = None) -> None:
        """Take a record out of the recycle bin."""
        self.put(name, {"Id": crm_id, "IsDeleted": False, "MasterRecordId": None}, at=at)

    def purge(self, name: str, ids: Collection[str], *, at: datetime | None = None) -> None:
        """Remove records for good; only getDeleted tells of them."""
        moment = at or self.now()
        with self._lock:
            for crm_id in ids:
                self._held[name].pop(crm_id, None)
                self._deleted[name].setdefault(crm_id, Deleted(crm_id, moment))

    def deleted(self, name: str, start: datetime, end: datetime) -> Iterator[Deleted]:
        """Yield the deletions of a span."""
        self._settle()
        yield from (one for one in list(self._deleted[name].values()) if start <= one.at < end)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            for name in OBJECTS:
                self._held[name].clear()
                self._deleted[name].clear()
            self._pending.clear()

    def _write(self, name: str, written: Values) -> None:
        old = self._held[name].get(written["Id"])
        base = old or {**dict.fromkeys(OBJECTS[name].fields), "IsDeleted": False, **_created(written)}
        record = self._held[name][written["Id"]] = {**base, **written}
        if record["IsDeleted"]:
            self._deleted[name].setdefault(record["Id"], Deleted(record["Id"], record["SystemModstamp"]))
        else:
            self._deleted[name].pop(record["Id"], None)

    def _settle(self) -> None:
        """Commit what is due, and empty the recycle bin of what has been there too long."""
        now = self.now()
        with self._lock:
            due = sorted((one for one in self._pending if one[0] <= now), key=lambda one: one[0])
            if due:
                self._pending = [one for one in self._pending if one[0] > now]
            for _, name, written in due:
                self._write(name, written)
            oldest = now - timedelta(seconds=self._settings.recycle_seconds)
            for name, log in self._deleted.items():
                for one in log.values():
                    if one.at < oldest:
                        self._held[name].pop(one.id, None)


def _stamp(at: datetime) -> Values:
    moment = at.astimezone(UTC).replace(microsecond=0)
    return {"SystemModstamp": moment, "LastModifiedDate": moment}


def _created(written: Values) -> Values:
    return {"CreatedDate": written["SystemModstamp"], "HasOptedOutOfEmail": False}

"""The table of contacts: rows, their versions, and what was deleted.

What belongs here: what happens to records, as people and imports do it. A write may carry a time of its own: a row
that was committed late, or that an import dates back. How rows are asked for belongs to `queries`.
"""

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contact_sync.simulator.dataverse.columns import columns_of
from contact_sync.simulator.dataverse.settings import DataverseSettings

Row = dict[str, Any]
"""Property to value; times are aware, ids are lower-case GUIDs."""

_OWNER = "11111111-2222-4333-8444-555555555555"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A row that was deleted, and the version of the table since then."""

    contact_id: str
    version: int


class ContactTable:
    """Contacts and the names of their accounts; safe to change while it is served.

    Attributes:
        rows: By contactid.
        tombstones: Oldest first.
        accounts: Names by accountid; renaming one does not touch its contacts.
        version: Grows with every write.
    """

    def __init__(self, settings: DataverseSettings) -> None:
        self.columns = columns_of(settings.columns)
        self.properties = {column.property: column for column in self.columns.values()}
        self.rows: dict[str, Row] = {}
        self.tombstones: list[Tombstone] = []
        self.accounts: dict[str, str] = {}
        self.version = 1_000
        self.lock = threading.RLock()
        self._clock = settings.clock

    def put(
        self, values: Mapping[str, Any], *, contact_id: str | None = None, modified_at: datetime | None = None
    ) -> str:
        """Create a contact, or change columns of one; return its id.

        Args:
            values: By property.
            contact_id: Which one; None creates.
            modified_at: Its `modifiedon` instead of now. Dataverse keeps whole seconds.

        Raises:
            KeyError: There is no such column.
        """
        unknown = values.keys() - self.properties.keys()
        if unknown:
            raise KeyError(sorted(unknown))
        with self.lock:
            contact_id = contact_id or str(uuid.uuid4())
            stamp = (modified_at or datetime.fromtimestamp(self._clock(), UTC)).replace(microsecond=0)
            self.version += 1
            row = self.rows.get(contact_id) or self._fresh(contact_id, stamp)
            row = {**row, **values} | {"modifiedon": stamp, "versionnumber": self.version}
            row["fullname"] = " ".join(filter(None, (row["firstname"], row["lastname"]))) or None
            self.rows[contact_id] = row
            return contact_id

    def deactivate(self, contact_id: str, modified_at: datetime | None = None) -> None:
        """Make a contact inactive."""
        self.put({"statecode": 1, "statuscode": 2}, contact_id=contact_id, modified_at=modified_at)

    def activate(self, contact_id: str, modified_at: datetime | None = None) -> None:
        """Make an inactive contact active again."""
        again = {"statecode": 0, "statuscode": 1, "merged": False, "_masterid_value": None}
        self.put(again, contact_id=contact_id, modified_at=modified_at)

    def merge(self, loser: str, survivor: str, modified_at: datetime | None = None) -> None:
        """Merge one contact into another: it is deactivated and names its master."""
        lost = {"statecode": 1, "statuscode": 2, "merged": True, "_masterid_value": survivor}
        self.put(lost, contact_id=loser, modified_at=modified_at)

    def delete(self, contact_id: str) -> None:
        """Delete a contact for good."""
        with self.lock:
            del self.rows[contact_id]
            self.version += 1
            self.tombstones.append(Tombstone(contact_id, self.version))

    def clear(self) -> None:
        """Forget every row, as if there had never been one."""
        with self.lock:
            self.rows.clear()
            self.tombstones.clear()

    def _fresh(self, contact_id: str, stamp: datetime) -> Row:
        fixed = {"contactid": contact_id, "createdon": stamp, "_ownerid_value": _OWNER, "merged": False}
        return {**dict.fromkeys(self.properties), **fixed, "statecode": 0, "statuscode": 1}

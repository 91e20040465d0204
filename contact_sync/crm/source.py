"""The interface that every CRM source keeps: windows or ids in, pages of changes out.

A source holds no state and decides nothing: what to do with a change belongs to the domain, what was already
read belongs to the window ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from contact_sync.contacts.window import Window

ChangeKind = Literal["upsert", "delete", "merge"]


@dataclass(frozen=True, slots=True)
class Change:
    """One version of one CRM record.

    Attributes:
        crm_id: The record's id in the CRM.
        version: What tells this version from the others (`SystemModstamp`, an ETag, `updated_at`).
        modified_at: When the CRM recorded the change; aware, UTC.
        kind: `upsert`; `delete` for a tombstone; `merge` for a record that lost a merge.
        fields: The values of the registry's CRM fields, by CRM name; empty for a tombstone without values.
        merged_into: The id of the surviving record when `kind` is `merge`.
    """

    crm_id: str
    version: str
    modified_at: datetime
    kind: ChangeKind
    fields: Mapping[str, Any] = field(default_factory=dict)
    merged_into: str | None = None


class CrmError(Exception):
    """The CRM could not be read; the message is one line for the operator and holds no values of records."""


class CrmConfigurationError(CrmError):
    """The CRM was reached, but what the settings name is not there; retrying does not help."""


class CrmUnavailableError(CrmError):
    """The CRM did not answer; the window stays open and the next run catches up."""


class CrmSource(Protocol):
    """Where contacts come from. Restartable; the order of changes is not promised."""

    name: str

    def horizon(self) -> datetime:
        """Return the newest instant that is safe to read up to: the server's clock less the settle delay."""
        ...

    def changes(self, window: Window) -> Iterator[Sequence[Change]]:
        """Yield the changes with `window.start <= modified_at < window.end`, page by page.

        Raises:
            CrmConfigurationError: A table, column or permission that the settings name is missing.
            CrmUnavailableError: The CRM cannot be reached.
        """
        ...

    def current(self, ids: Sequence[str]) -> Iterator[Sequence[Change]]:
        """Yield each record with one of `ids` as `changes` would give it now, page by page, in any order.

        Args:
            ids: Ids as `changes` gives them; the same id twice is one. Unknown ones, and those of records that no
                window can hold, yield nothing.

        Raises:
            CrmConfigurationError: A table, column or permission that the settings name is missing.
            CrmUnavailableError: The CRM cannot be reached.
        """
        ...

    def unlisted(self, window: Window) -> Mapping[str, int]:
        """Count, per CRM field that the registry does not list, the changes of the window that carry a value.

        The values themselves are not read.
        """
        ...

    def examples(self, window: Window) -> Mapping[str, Any]:
        """Return a value of the window for each CRM field that the registry does not list, where one is at hand.

        For its shape only: the value goes no further.
        """
        ...

    def undated(self) -> int:
        """Count the records that no window can hold, for lack of an id or of a time of change."""
        ...

"""The interface that every CRM source keeps: windows or ids in, pages of changes out.

A CRM that hard-deletes shows it by the ids that are there (`living`), or tells it (`DeleteFeed`).

A source holds no state and decides nothing: what to do with a change belongs to the domain, what was already
read belongs to the window ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

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


class CrmExhaustedError(CrmUnavailableError):
    """What the CRM allows in a day is used up: trying again soon does not help, a later run does."""


class DeleteFeedExpiredError(CrmError):
    """The CRM no longer knows where its delete feed was left: what is gone shows by reading all keys instead."""


@dataclass(frozen=True, slots=True)
class Deletions:
    """One page of a delete feed.

    Attributes:
        ids: Ids, as `changes` gives them, of records that are gone; also of such that no window ever gave.
        token: Where to go on after this page; None on a page in the middle that cannot be resumed from.
    """

    ids: Sequence[str]
    token: str | None


Stamp = tuple[str, datetime]
"""A record's id and the time of its change, as `changes` gives them."""


class CrmSource(Protocol):
    """Where contacts come from. Restartable; the order of changes is not promised."""

    name: str

    def horizon(self) -> datetime:
        """Return the newest instant that is safe to read up to: the server's clock less the settle delay."""
        ...

    def server_time(self) -> datetime | None:
        """Return the time of the CRM's own clock, in UTC; None where it is not told.

        Raises:
            CrmUnavailableError: The CRM cannot be reached.
        """
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

    def count(self, window: Window) -> int:
        """Return how many changes `changes(window)` would yield now; they are counted by the CRM, not read.

        Raises:
            CrmConfigurationError: A table, column or permission that the settings name is missing.
            CrmUnavailableError: The CRM cannot be reached.
        """
        ...

    def stamps(self, window: Window) -> Iterator[Sequence[Stamp]]:
        """Yield ids and times of change of what `changes(window)` would yield now, page by page, and no more.

        Raises:
            CrmConfigurationError: A table, column or permission that the settings name is missing.
            CrmUnavailableError: The CRM cannot be reached.
        """
        ...

    def living(self) -> Iterator[Sequence[str]]:
        """Yield the ids of all records that are there and not deleted, as `changes` gives them, page by page.

        A record that comes, goes or moves meanwhile may be missing, or be there twice.

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

    def close(self) -> None:
        """Close the connections to the CRM."""
        ...


@runtime_checkable
class DeleteFeed(Protocol):
    """A CRM that tells which records are gone for good, such as by Salesforce's getDeleted."""

    def deletions(self, token: str | None) -> Iterator[Deletions]:
        """Yield what was deleted since `token` was given, page by page; None begins the feed.

        What is yielded once may come again.

        Raises:
            DeleteFeedExpiredError: The token is too old.
            CrmConfigurationError: A table or permission is missing.
            CrmUnavailableError: The CRM cannot be reached.
        """
        ...

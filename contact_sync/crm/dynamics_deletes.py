"""What was deleted for good in Dataverse, by change tracking.

What belongs here: the walk from a delta link to the next one. A delta link is the token: opaque, of one
environment, and good for seven days unless the environment says otherwise.
"""

import logging
from collections.abc import Iterator

from contact_sync.crm.dynamics_api import MAX_PAGE, ROOT, DataverseApi, DataverseRefusedError, Json, rows_of
from contact_sync.crm.source import (
    CrmUnavailableError,
    DeleteFeedExpiredError,
    Deletions,
)

_log = logging.getLogger(__name__)

_PAGED = f"odata.maxpagesize={MAX_PAGE}"
_TRACKED = f"odata.track-changes,{_PAGED}"
_NOT_TRACKED = "switch on Track changes in the advanced options of the contact table"


class DeleteTracking:
    """Follows the deletions of contacts."""

    def __init__(self, api: DataverseApi) -> None:
        self._api = api

    def pages(self, token: str | None) -> Iterator[Deletions]:
        """Yield what was deleted since `token` was given; see `DeleteFeed.deletions`.

        To begin takes a walk through all contacts, of which only the ids are read: Dataverse gives the first delta
        link at its end. Where changes are not tracked, or not for this user, nothing is told; a warning says why.
        """
        return self._begun() if token is None else self._since(token)

    def _begun(self) -> Iterator[Deletions]:
        try:
            link, why = (self._walked(), "") if self._is_tracked() else ("", _NOT_TRACKED)
        except DataverseRefusedError as refused:
            if refused.status != 403:
                raise
            link, why = "", str(refused)
        if link:
            yield Deletions((), link)
        else:
            _log.warning("contacts deleted for good are found by comparing all ids only: %s", why)

    def _walked(self) -> str:
        """Return the first delta link."""
        link = None
        for page in self._api.pages(self._api.url("contacts", {"$select": "contactid"}), _TRACKED):
            link = _delta_link(page)
        return _required(link)

    def _since(self, token: str) -> Iterator[Deletions]:
        if not token.startswith(f"{self._api.origin}{ROOT}contacts?"):
            raise DeleteFeedExpiredError("the delete feed was followed in another Dataverse environment so far")
        pages, link = self._api.pages(token, _PAGED), None
        while (page := _next(pages)) is not None:
            link = _delta_link(page)
            yield Deletions([str(row.get("id")).lower() for row in rows_of(page) if _is_deletion(row)], link)
        _required(link)

    def _is_tracked(self) -> bool:
        options = {"$select": "ChangeTrackingEnabled"}
        told = self._api.get(self._api.url("EntityDefinitions(LogicalName='contact')", options))
        return told.get("ChangeTrackingEnabled") is True


def _next(pages: Iterator[Json]) -> Json | None:
    try:
        return next(pages, None)
    except DataverseRefusedError as refused:
        if refused.status not in {400, 410}:  # nothing but the token is asked for here
            raise
    raise DeleteFeedExpiredError("Dataverse no longer knows where its delete feed was left: it keeps 7 days")


def _delta_link(page: Json) -> str | None:
    link = page.get("@odata.deltaLink")
    return link if isinstance(link, str) else None


def _required(link: str | None) -> str:
    if link is None:
        raise CrmUnavailableError("Dataverse ended a walk through its changes without a link to the next ones")
    return link


def _is_deletion(row: Json) -> bool:
    return str(row.get("@odata.context")).endswith("/$deletedEntity") and row.get("reason") == "deleted"

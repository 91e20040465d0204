"""Salesforce's feed of deletions, getDeleted: also of what has left the recycle bin.

What belongs here: spans of the feed, and where it ends. What is done about a deletion belongs to the steps.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from contact_sync.crm.salesforce_api import RefusedError, SalesforceApi
from contact_sync.crm.salesforce_rows import stamp_of
from contact_sync.crm.source import CrmUnavailableError, DeleteFeedExpiredError, Deletions

_SPAN = timedelta(days=1)  # of one request: it tells of 600,000 ids at most
_SHORTEST = timedelta(minutes=1)
_EXPIRED = frozenset({"INVALID_REPLICATION_DATE", "EXCEEDED_ID_LIMIT"})


def deletions(
    api: SalesforceApi, object_name: str, token: str | None, now: Callable[[], datetime]
) -> Iterator[Deletions]:
    """Yield the deletions since `token`, a day at a time.

    A token is the instant up to which Salesforce says that the feed is complete: `latestDateCovered`, which lags
    behind while long transactions run. A feed that begins tells of nothing yet.

    Raises:
        DeleteFeedExpiredError: Salesforce keeps 30 days, and tells of 600,000 ids at once.
        CrmError: Salesforce could not be read.
    """
    end = now().astimezone(UTC).replace(second=0, microsecond=0)
    if token is None:
        yield Deletions((), _token(end))
        return
    start = stamp_of(token)
    while end - start >= _SHORTEST:
        page = _span(api, object_name, start, min(start + _SPAN, end))
        yield page
        reached = stamp_of(page.token)
        if reached <= start:
            return
        start = reached


def _span(api: SalesforceApi, object_name: str, start: datetime, end: datetime) -> Deletions:
    try:
        told = api.get(f"/sobjects/{object_name}/deleted/", {"start": _token(start), "end": _token(end)})
    except RefusedError as refused:
        if refused.code not in _EXPIRED:
            raise
        told = None
    if told is None:
        raise DeleteFeedExpiredError(
            f"Salesforce no longer tells what was deleted from {object_name} since {start:%Y-%m-%d}: all keys "
            "have to be read instead"
        )
    records = told.get("deletedRecords")
    if not isinstance(records, list):
        raise CrmUnavailableError("Salesforce answered getDeleted without records")
    ids = [str(one["id"]) for one in records if isinstance(one, dict) and one.get("id")]
    covered = stamp_of(told.get("latestDateCovered"))
    return Deletions(ids, _token(min(max(covered, start), end)))


def _token(moment: datetime) -> str:
    return moment.replace(second=0, microsecond=0).isoformat()

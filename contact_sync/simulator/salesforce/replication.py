"""getDeleted: what was deleted in a span of time.

What belongs here: its limits and its answer.
"""

from datetime import UTC, datetime, timedelta

from contact_sync.simulator.salesforce.errors import ApiError, Json
from contact_sync.simulator.salesforce.records import Records
from contact_sync.simulator.salesforce.settings import OrgSettings


def deleted(
    records: Records, settings: OrgSettings, name: str, span: tuple[str, str], covered: datetime | None
) -> Json:
    """Return the ids that were deleted in a span; the seconds of its ends do not count.

    Args:
        records: Where they were deleted.
        settings: The organisation.
        name: The object.
        span: Start and end.
        covered: The start of the oldest transaction under way, if there is one.

    Raises:
        ApiError: 400 for a span that is too old, too short or holds too much.
    """
    begins, ends = map(_minute, span)
    now = records.now()
    if ends - begins < timedelta(minutes=1):
        raise ApiError(400, "INVALID_REPLICATION_DATE", "endDate must be at least one minute after startDate")
    earliest = now - timedelta(seconds=settings.deleted_seconds)
    if begins < earliest:
        raise ApiError(400, "INVALID_REPLICATION_DATE", "startDate before org created or more than 30 days ago")
    found = sorted(records.deleted(name, begins, ends), key=lambda one: one.at)
    if len(found) > settings.max_deleted:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", "too many ids")
    return {
        "deletedRecords": [{"id": one.id, "deletedDate": _written(one.at)} for one in found],
        "earliestDateAvailable": _written(earliest),
        "latestDateCovered": _written(min(ends, now, covered or now)),
    }


def _minute(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ApiError(400, "INVALID_REPLICATION_DATE", "not a date")
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000")

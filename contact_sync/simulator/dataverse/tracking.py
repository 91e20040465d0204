"""Change tracking: what was written and deleted since a delta token.

What belongs here: the first listing, which ends with a delta link, and what such a link leads to: rows by version,
then deletions, also of rows that were never told. A token is good for some days.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from contact_sync.simulator.dataverse.errors import EXPIRED_TOKEN, Json, ODataError, not_parsed
from contact_sync.simulator.dataverse.queries import Asked, packed, selection, unpacked, written
from contact_sync.simulator.dataverse.settings import DataverseSettings
from contact_sync.simulator.dataverse.table import ContactTable

_REFUSED = ("$filter", "$orderby", "$expand", "$top")
_STAMP = "%m/%d/%Y %H:%M:%S"
_DAY = 86_400


class _Pass(NamedTuple):
    """One walk through the changes: versions after `since`, up to `snapshot`; `reached` was told last."""

    since: int | None
    snapshot: int
    reached: tuple[int, int] = (0, 0)


def is_tracked(asked: Asked) -> bool:
    """Whether a request is about change tracking."""
    return "odata.track-changes" in asked.prefer or "$deltatoken" in asked.options


def tracked(asked: Asked, table: ContactTable, settings: DataverseSettings) -> Json:
    """Return a page of what was written and deleted.

    Raises:
        ODataError: 400: the table is not tracked, an option is not allowed here, or the token has expired.
    """
    if not settings.change_tracking:
        raise not_parsed("Change tracking is not enabled for entity contact.")
    for option in _REFUSED:
        if option in asked.options:
            name = option.removeprefix("$")
            raise not_parsed(
                f'The "${{{name}}}" query parameter isn\'t supported when Change Tracking is enabled.'
            )
    walk = _walk(asked, table, settings)
    entries = _entries(asked, table, walk)
    page = entries[: asked.page_size(settings.page_size)]
    answer: Json = {"value": [entry for _, entry in page]}
    if len(page) < len(entries):
        token = packed("delta", [walk.since, walk.snapshot, *page[-1][0]])
        answer["@odata.nextLink"] = asked.link(skiptoken=token)
    else:
        issued = datetime.fromtimestamp(settings.clock(), UTC).strftime(_STAMP)
        answer["@odata.deltaLink"] = asked.link(skiptoken="", deltatoken=f"{walk.snapshot}!{issued}")
    return answer


def _walk(asked: Asked, table: ContactTable, settings: DataverseSettings) -> _Pass:
    if token := asked.options.get("$skiptoken"):
        since, snapshot, kind, version = unpacked("delta", token)
        return _Pass(since, snapshot, (kind, version))
    if token := asked.options.get("$deltatoken"):
        return _Pass(_version(token, settings), table.version)
    return _Pass(None, table.version)


def _version(token: str, settings: DataverseSettings) -> int:
    version, _, issued = token.partition("!")
    try:
        since = datetime.strptime(issued, _STAMP).replace(tzinfo=UTC)
        number = int(version)
    except ValueError:
        raise not_parsed("The delta token is malformed.") from None
    if settings.clock() - since.timestamp() > settings.tracking_days * _DAY:
        message = "Version stamp associated with the client has expired. Please perform a full sync."
        raise ODataError(400, EXPIRED_TOKEN, message)
    return number


def _entries(asked: Asked, table: ContactTable, walk: _Pass) -> list[tuple[tuple[int, int], Json]]:
    selected = selection(asked, table)
    changed = [
        ((0, row["versionnumber"]), written(row, selected, table, annotated=asked.annotated))
        for row in table.rows.values()
    ]
    context = f"{asked.url.rpartition('/')[0]}/$metadata#contacts/$deletedEntity"
    gone = [
        ((1, tomb.version), {"@odata.context": context, "id": tomb.contact_id, "reason": "deleted"})
        for tomb in table.tombstones
        if walk.since is not None
    ]
    entries = [
        (key, entry)
        for key, entry in [*changed, *gone]
        if (walk.since or 0) < key[1] <= walk.snapshot and key > walk.reached
    ]
    return sorted(entries, key=lambda one: one[0])

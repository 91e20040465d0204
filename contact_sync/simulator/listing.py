"""Finding many records: search, scan and reverse lookup.

What belongs here: paging and matching over all records of a kind. Only curated contacts are found at all.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

from contact_sync.simulator import phones
from contact_sync.simulator.cursors import Cursors
from contact_sync.simulator.errors import Json, bad_request
from contact_sync.simulator.identifiers import EMAIL_FIELDS, PHONE_FIELDS, Identifier
from contact_sync.simulator.service import ANY_DIVISION, RecordService

SEARCH_WINDOW = 1000
SCAN_PAGE = (10, 200)
REVERSE_LOOKUP_MAX = 25
_SORTABLE = frozenset({"firstName", "lastName", "middleName", "title", "name"})
_SEARCHED = ("firstName", "middleName", "lastName", "title", "name", *EMAIL_FIELDS)
Found = tuple[str, Json]


def search(service: RecordService, query: Mapping[str, str], expand: Collection[str]) -> Json:
    """Return a page of the records in which every word of `q` is found. Reads all records when `q` is given.

    Raises:
        ApiError: 400 beyond the first 1000 records or for an unknown sort.
    """
    size, number = integer(query, "pageSize", 20), integer(query, "pageNumber", 1)
    if size < 1 or number < 1 or size * number > SEARCH_WINDOW:
        raise bad_request(f"pageNumber * pageSize must be between 1 and {SEARCH_WINDOW}")
    found, total = _matching(service, query.get("q", "").split())
    if query.get("sortOrder"):
        found = _sorted(found, query["sortOrder"])
    shown = [service.present(*one, expand) for one in found[size * (number - 1) : size * number]]
    return {
        "entities": shown,
        "pageSize": size,
        "pageNumber": number,
        "total": total,
        "pageCount": -(-total // size),
        "selfUri": f"{service.kind.path}?pageSize={size}&pageNumber={number}",
    }


def integer(query: Mapping[str, str], name: str, default: int) -> int:
    """Return a whole number of the query.

    Raises:
        ApiError: 400.
    """
    try:
        return int(query.get(name, default))
    except ValueError:
        raise bad_request(f"Value is not valid for parameter [{name}].", "invalid.value") from None


def scan(
    service: RecordService, cursors: Cursors, query: Mapping[str, str], path: str, expand: Collection[str] = ()
) -> Json:
    """Return a page of all records; a page may be short or empty, only a missing cursor ends the scan.

    Raises:
        ApiError: 400 for a bad limit, 422 for a bad or expired cursor.
    """
    limit = page_limit(query)
    listing = f"scan/{service.kind.name}"
    start = cursors.position(listing, query["cursor"]) if query.get("cursor") else 0
    page, reached = service.store.page(start, limit)
    division = query.get("divisionId") or ANY_DIVISION
    shown = [service.present(*one, expand) for one in page if _visible(one[1]) and _within(one[1], division)]
    filters = {name: query[name] for name in ("limit", "divisionId") if query.get(name)}
    return {"entities": shown, "selfUri": path} | cursors.links(listing, path, reached, filters)


def page_limit(query: Mapping[str, str]) -> int:
    """Return the `limit` of a cursor-paged listing.

    Raises:
        ApiError: 400 outside 10 to 200.
    """
    limit = integer(query, "limit", 100)
    if not SCAN_PAGE[0] <= limit <= SCAN_PAGE[1]:
        raise bad_request(f"limit must be between {SCAN_PAGE[0]} and {SCAN_PAGE[1]}")
    return limit


def reverse_lookup(service: RecordService, query: Mapping[str, str], expand: Collection[str]) -> Json:
    """Return the contacts that carry an e-mail address, an E.164 number or a Twitter name, oldest claim first.

    Raises:
        ApiError: 400 without a value.
    """
    value = query.get("lookupVal", "").strip()
    if not value:
        raise bad_request("lookupVal is required")
    identifiers = [Identifier("SocialTwitter", value.lstrip("@").lower())]
    if "@" in value.lstrip("@"):
        identifiers = [Identifier("Email", value.lower())]
    elif e164 := phones.e164(value):
        identifiers = [Identifier("Phone", e164)]
    holders = [one for identifier in identifiers for one in service.store.identifiers.holders(identifier)]
    found = _as_indexed(
        map(service.fetch, holders),
        service.indexed(),
        lambda record: any(one in identifiers for one in service.kind.identify(record)),
    )
    division = query.get("divisionId") or ANY_DIVISION
    visible = [one for one in found if _visible(one[1]) and _within(one[1], division)]
    nested = [name.removeprefix("contacts.") for name in expand]
    return {"contacts": [service.present(*one, nested) for one in visible[:REVERSE_LOOKUP_MAX]]}


def _matching(service: RecordService, words: list[str]) -> tuple[list[Found], int]:
    """Return at most the first 1000 matches, and how many there are."""
    stale = service.indexed()
    if not words and not stale:
        first = [one for one in service.store.first(SEARCH_WINDOW) if _visible(one[1])]
        return first, len(service.store)
    current = service.store.containing(words)
    hits = _as_indexed(current, stale, lambda record: _visible(record) and _has_words(record, words))
    return hits[:SEARCH_WINDOW], len(hits)


def _as_indexed(
    current: Iterable[Found], stale: Mapping[str, Json | None], matches: Callable[[Json], bool]
) -> list[Found]:
    """Return what matches, with `stale` in place of the records that the search index does not know yet."""
    known = [one for one in current if one[0] not in stale and matches(one[1])]
    return known + [(one, record) for one, record in stale.items() if record is not None and matches(record)]


def _has_words(record: Json, words: Iterable[str]) -> bool:
    values = [str(record[name]) for name in _SEARCHED if name in record]
    for name in PHONE_FIELDS:
        values += [str(value) for value in record.get(name, {}).values()]
    values += [held["value"] for held in record.get("externalIds", ())]
    searched = "\n".join(values).lower()
    return all(word.lower() in searched for word in words)


def _sorted(found: list[Found], order: str) -> list[Found]:
    name, _, direction = order.partition(":")
    if name not in _SORTABLE or direction not in {"", "asc", "desc"}:
        raise bad_request("Value is not valid for parameter [sortOrder].", "invalid.query.param.value")

    return sorted(found, key=lambda one: str(one[1].get(name, "")).lower(), reverse=direction == "desc")


def _visible(record: Json) -> bool:
    return bool(record.get("type", "Curated") == "Curated")


def _within(record: Json, division: str) -> bool:
    return division in {ANY_DIVISION, record["division"]["id"]}

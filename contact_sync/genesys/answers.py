"""What Genesys' answers say.

What belongs here: reading JSON that we do not trust to have its documented shape, and the outcome of each item of
a bulk answer. Pure: the transport got the answer, the client decides what to do about it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contact_sync.genesys.errors import GenesysRetryableError, classify

JsonObject = Mapping[str, object]

NO_ANSWER = 0  # the status of an item that the answer does not mention

_WORD = re.compile(r"[A-Za-z0-9_.$-]{1,100}")
_PERMISSION = re.compile(r"\b[a-zA-Z]+:[a-zA-Z]+:[a-zA-Z]+\b")


def as_object(value: object) -> JsonObject:
    """Return `value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_text(value: object) -> str | None:
    """Return `value` if it is text and not empty."""
    return value if isinstance(value, str) and value else None


def as_word(value: object) -> str | None:
    """Return `value` if it is a name such as `validation.failed`: free text could tell about a person."""
    text = as_text(value)
    return text if text and _WORD.fullmatch(text) else None


def error_code(body: object) -> str | None:
    """Return the error code of an answer's JSON body: "unknown" if it has none, None if it is no JSON object."""
    return (as_word(body.get("code")) or "unknown") if isinstance(body, dict) else None


def named_permissions(body: object) -> list[str]:
    """Return the permissions, such as `externalContacts:contact:enrich`, that an answer's message names."""
    return sorted(set(_PERMISSION.findall(as_text(as_object(body).get("message")) or "")))


@dataclass(frozen=True, slots=True)
class Organization:
    """The organisation that the client belongs to."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one item.

    Attributes:
        tracker: The item's own id in the request.
        status: HTTP status of the item; `NO_ANSWER` if the answer does not mention it.
        contact_id: The contact in Genesys, on success.
        code: Genesys' error code; None on success.
        retryable: Whether the same item may succeed later.
        correlation_id: Of the request that carried the item.
        fields: Names of the fields that Genesys complained about, never their values.
    """

    tracker: str
    status: int
    contact_id: str | None
    code: str | None
    retryable: bool
    correlation_id: str | None
    fields: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the item is done and its contact is known."""
        return 200 <= self.status < 300 and self.contact_id is not None

    @property
    def created(self) -> bool:
        """Whether the contact is new."""
        return self.status == 201


def item_results(
    body: JsonObject, trackers: Iterable[str], correlation_id: str | None = None
) -> dict[str, ItemResult]:
    """Return the outcome of each tracker, in the order of `trackers`.

    Genesys does not keep the order of the request, so only ids tell whose result is whose. An item that the answer
    does not mention counts as retryable: nobody knows whether it was done.
    """
    results = body.get("results")
    found = (_item(as_object(one), correlation_id) for one in (results if isinstance(results, list) else ()))
    by_tracker = {one.tracker: one for one in found}
    return {tracker: by_tracker.get(tracker) or _unmentioned(tracker, correlation_id) for tracker in trackers}


def _item(result: JsonObject, correlation_id: str | None) -> ItemResult:
    error = as_object(result.get("error"))
    tracker = as_text(result.get("id")) or as_text(as_object(error.get("entity")).get("id")) or ""
    if result.get("success") is True:
        contact_id = as_text(as_object(result.get("entity")).get("id"))
        return ItemResult(tracker, _status(result) or 200, contact_id, None, contact_id is None, correlation_id)
    status = _status(error) or _status(result) or 500
    code = error_code(error) or "unknown"
    told = error.get("retryable")
    retryable = told if isinstance(told, bool) else classify(status, code) is GenesysRetryableError
    return ItemResult(tracker, status, None, code, retryable, correlation_id, _fields(error))


def _status(body: JsonObject) -> int | None:
    status = body.get("status")
    return status if isinstance(status, int) else None


def _fields(error: JsonObject) -> tuple[str, ...]:
    details = error.get("details")
    names = (as_word(as_object(one).get("fieldName")) for one in (details if isinstance(details, list) else ()))
    return tuple(sorted({name for name in names if name}))


def _unmentioned(tracker: str, correlation_id: str | None) -> ItemResult:
    retryable = True
    return ItemResult(tracker, NO_ANSWER, None, "missing.from.answer", retryable, correlation_id)

"""The errors that the twin answers with, in Genesys' vocabulary.

What belongs here: the error type, its wire form and the ones that several modules raise. Deciding that something
is wrong is each module's own business.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

Json = dict[str, Any]

_FAILURES = {
    429: ("too.many.requests", "Rate limit exceeded the maximum."),
    500: ("internal.server.error", "The server encountered an unexpected condition."),
    502: ("bad.gateway", "Bad Gateway."),  # Genesys declares none; gateways answer it
    503: ("service.unavailable", "Service Unavailable - The server is currently unavailable."),
    504: ("request.timeout", "The request timed out."),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One field that was refused, and why."""

    field: str
    reason: str
    value: str = ""


class ApiError(Exception):
    """A request, or one item of a bulk request, was refused.

    Args:
        status: The HTTP status.
        code: Genesys' error code.
        message: A sentence for a person.
        faults: The fields at fault.
        retry_after: Seconds to wait, for a 429.
    """

    def __init__(
        self, status: int, code: str, message: str, faults: Iterable[Fault] = (), retry_after: int | None = None
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.faults = tuple(faults)
        self.retry_after = retry_after

    def body(self, context_id: str) -> Json:
        """Return the ErrorBody."""
        body: Json = {
            "message": self.message,
            "code": self.code,
            "status": self.status,
            "messageParams": {},
            "contextId": context_id,
            "details": [{"errorCode": self.code, "fieldName": fault.field} for fault in self.faults],
            "errors": [],
        }
        return body

    def bulk_body(self, entity: Json) -> Json:
        """Return the error of one bulk item, with the item as it was sent."""
        return {
            "code": self.code,
            "message": self.message,
            "status": self.status,
            "retryable": self.status in _FAILURES,
            "details": [{"fieldName": f.field, "value": f.value, "message": f.reason} for f in self.faults],
            "entity": entity,
        }


class GatewayError(ApiError):
    """A 5xx of a gateway before the API, which speaks no JSON."""

    def __init__(self, status: int) -> None:
        super().__init__(status, *_FAILURES[status])

    def page(self) -> str:
        """Return the HTML page."""
        title = f"{self.status} {HTTPStatus(self.status).phrase}"
        return f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"


def failure(status: int) -> ApiError:
    """Return what a request that was in order may meet: a 429 or 5xx, good to be tried again."""
    return ApiError(status, *_FAILURES[status])


def not_found(code: str = "entity.not.found", message: str = "The entity was not found.") -> ApiError:
    """Return a 404."""
    return ApiError(404, code, message)


def bad_request(message: str, code: str = "bad.request") -> ApiError:
    """Return a 400."""
    return ApiError(400, code, message)


def conflict(code: str, message: str) -> ApiError:
    """Return a 409."""
    return ApiError(409, code, message)


def invalid(faults: Iterable[Fault], code: str = "validation.failed") -> ApiError:
    """Return the 422 that names the fields at fault."""
    faults = tuple(faults)
    reasons = "; ".join(f"{fault.field}: {fault.reason}" for fault in faults)
    return ApiError(422, code, f"Validation failed. {reasons}", faults)

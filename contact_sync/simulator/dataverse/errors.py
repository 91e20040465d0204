"""The errors that the Dataverse twin answers with.

What belongs here: the error type, its wire form and the ones that several modules raise.
"""

from typing import Any

Json = dict[str, Any]

NOT_PARSED = "0x80060888"
NO_PRIVILEGE = "0x80040220"
NO_USER = "0x80072560"
EXPIRED_TOKEN = "0x80044352"  # noqa: S105 -- an error code
TOO_MANY_AGGREGATED = "0x8004E023"
THROTTLED = {
    "0x80072322": "Number of requests exceeded the limit of 6000 over time window of 300 seconds.",
    "0x80072321": (
        "Combined execution time of incoming requests exceeded limit of 1,200,000 milliseconds over time window "
        "of 300 seconds."
    ),
    "0x80072326": "Number of concurrent requests exceeded the limit of 52.",
}


class ODataError(Exception):
    """A request is refused, or fails.

    Args:
        status: The HTTP status.
        code: Dataverse's hexadecimal code.
        message: A sentence for a person.
        retry_after: Seconds to wait, for a 429.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.message = message
        self.code = code
        self.retry_after = retry_after

    def body(self) -> Json:
        """Return the answer's JSON."""
        return {"error": {"code": self.code, "message": self.message}}


def not_parsed(message: str) -> ODataError:
    """Return the refusal of a query that is not understood."""
    return ODataError(400, NOT_PARSED, message)


def no_property(name: str) -> ODataError:
    """Return the refusal of a column that there is not."""
    return not_parsed(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.contact'.")

"""The errors that the twin answers with, in Salesforce's vocabulary.

What belongs here: the error type and its two wire forms. Deciding that something is wrong is each module's own
business.
"""

from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """A data request was refused; its body is an array.

    Args:
        status: The HTTP status.
        code: Salesforce's errorCode.
        message: A sentence for a person.
        retry_after: Seconds to wait, if the answer is to say so.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after

    def body(self) -> list[Json]:
        """Return the body."""
        return [{"message": self.message, "errorCode": self.code}]


class TokenRefusedError(Exception):
    """No token is given; the body is an object."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error = error
        self.description = description

    def body(self) -> Json:
        """Return the body."""
        return {"error": self.error, "error_description": self.description}


def malformed(message: str) -> ApiError:
    """Return the error of a query that cannot be understood."""
    return ApiError(400, "MALFORMED_QUERY", message)


def invalid_field(name: str, object_name: str) -> ApiError:
    """Return the error of a field that is not there, or that the user may not see."""
    return ApiError(400, "INVALID_FIELD", f"No such column '{name}' on entity '{object_name}'.")

"""Failures of Genesys Cloud, sorted by what the caller does next.

    GenesysError
    ├── GenesysFatalError      stop: no repetition helps, an operator must change a setting, a role or the client
    ├── GenesysRetryableError  later: the same request may succeed; the retries inside the call are used up
    └── GenesysRowError        hold: Genesys refuses the content; the other rows go on

What belongs here: the three kinds, and the one table that maps an answer to its kind. Which request to repeat, and
how long to wait, is the transport's business. A message is one line for an operator and never carries a body, a
token or a value of a contact.
"""

from contact_sync.wire import PassingError


class GenesysError(Exception):
    """Base of the three kinds.

    Attributes:
        status: The HTTP status; None if no answer came.
        code: Genesys' error code, such as `validation.failed`.
        correlation_id: What Genesys' support asks for.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        correlation_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.correlation_id = correlation_id


class GenesysFatalError(GenesysError):
    """Stop: wrong credentials or region, a missing permission, an answer that is not Genesys'."""


class GenesysRetryableError(GenesysError, PassingError):
    """Try later: throttled, unavailable, timed out, or the connection was lost.

    Attributes:
        retry_after: Seconds that Genesys (or the budget) asks to wait; None if nobody said.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        correlation_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code, correlation_id=correlation_id)
        self.retry_after = retry_after


class GenesysRowError(GenesysError):
    """Hold the row: the request's content is refused, and will be next time."""


_BY_STATUS: dict[int, type[GenesysError]] = {
    400: GenesysRowError,
    404: GenesysRowError,
    408: GenesysRetryableError,
    409: GenesysRowError,
    413: GenesysRowError,
    422: GenesysRowError,
    429: GenesysRetryableError,
    501: GenesysFatalError,
}

# Codes that mean something else than their status does.
_BY_CODE: dict[str, type[GenesysError]] = {
    "client.failed.request": GenesysRetryableError,  # 400: our body was cut off on its way
    "active.external.source.limit.reached": GenesysFatalError,  # 409
    "max.external.source.limit.reached": GenesysFatalError,  # 409
}


def classify(status: int, code: str | None) -> type[GenesysError]:
    """Return the kind of failure that an answer with `status` and Genesys' error `code` is.

    A refusal of content is believed only from Genesys itself, which answers in JSON: without a code (None: the
    body was not JSON) it comes from a proxy or a wrong host. Only 413 is a gateway's to say.
    """
    if code in _BY_CODE:
        return _BY_CODE[code]
    kind = _BY_STATUS.get(status, GenesysRetryableError if status >= 500 else GenesysFatalError)
    if kind is GenesysRowError and code is None and status != 413:
        return GenesysFatalError
    return kind

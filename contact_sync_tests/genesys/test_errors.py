import pickle

import pytest

from contact_sync.genesys.errors import (
    GenesysError,
    GenesysFatalError,
    GenesysRetryableError,
    GenesysRowError,
    classify,
)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (301, None, GenesysFatalError),
        (400, "invalid.value", GenesysRowError),
        (400, "client.failed.request", GenesysRetryableError),
        (401, "bad.credentials", GenesysFatalError),
        (403, "missing.permissions", GenesysFatalError),
        (404, "entity.not.found", GenesysRowError),
        (408, "client.timeout", GenesysRetryableError),
        (409, "matching.contact.found", GenesysRowError),
        (409, "max.external.source.limit.reached", GenesysFatalError),
        (413, "request.entity.too.large", GenesysRowError),
        (413, None, GenesysRowError),
        (415, "unsupported.media.type", GenesysFatalError),
        (422, "validation.failed", GenesysRowError),
        (429, "too.many.requests", GenesysRetryableError),
        (429, None, GenesysRetryableError),
        (500, "internal.server.error", GenesysRetryableError),
        (501, "unknown", GenesysFatalError),
        (502, None, GenesysRetryableError),
        (503, "service.unavailable", GenesysRetryableError),
        (504, "request.timeout", GenesysRetryableError),
    ],
)
def test_an_answer_has_one_kind(status: int, code: str | None, kind: type[GenesysError]) -> None:
    assert classify(status, code) is kind


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refusal_of_content_is_believed_only_from_genesys(status: int) -> None:
    assert classify(status, None) is GenesysFatalError


def test_an_error_survives_a_process_boundary() -> None:
    error = GenesysRetryableError(
        "later", status=429, code="too.many.requests", correlation_id="c-1", retry_after=7
    )
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert (str(copy), copy.status, copy.code, copy.correlation_id, copy.retry_after) == (
        "later",
        429,
        "too.many.requests",
        "c-1",
        7,
    )

import random

import pytest

from contact_sync.genesys.answers import NO_ANSWER, item_results
from contact_sync_tests.genesys.server import success


def failure(tracker: str, **error: object) -> dict[str, object]:
    return {"id": tracker, "success": False, "error": {"status": 422, "code": "validation.failed", **error}}


def test_results_are_told_apart_by_tracker_not_by_order() -> None:
    trackers = [f"t-{number}" for number in range(10)]
    results = [success(tracker) for tracker in trackers]
    random.Random(7).shuffle(results)  # noqa: S311  # an order, not a secret
    found = item_results({"results": results}, trackers)
    assert list(found) == trackers
    assert all(found[tracker].contact_id == f"contact-of-{tracker}" for tracker in trackers)


def test_created_and_updated_are_told_apart() -> None:
    found = item_results({"results": [success("new", 201), success("old", 200)]}, ["new", "old"])
    assert [(one.ok, one.created) for one in found.values()] == [(True, True), (True, False)]


def test_a_failed_item_tells_its_code_and_fields_but_no_value() -> None:
    details = [{"fieldName": "workEmail", "value": "ada@example.org", "message": "no mail"}, {"fieldName": "a b"}]
    body = {"results": [failure("t-1", retryable=False, details=details, message="ada@example.org")]}
    result = item_results(body, ["t-1"], "corr-1")["t-1"]
    assert (result.ok, result.status, result.code, result.fields) == (
        False,
        422,
        "validation.failed",
        ("workEmail",),
    )
    assert (result.retryable, result.correlation_id) == (False, "corr-1")
    assert "ada" not in repr(result)


def test_a_failed_item_is_found_by_the_item_it_repeats() -> None:
    body = {"results": [failure("", entity={"id": "t-1"})]}
    assert item_results(body, ["t-1"])["t-1"].code == "validation.failed"


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        ({"retryable": True}, True),
        ({"retryable": False, "status": 503}, False),
        ({"status": 503, "code": "service.unavailable"}, True),
        ({"status": 429, "code": "too.many.requests"}, True),
        ({}, False),
    ],
)
def test_genesys_says_what_is_worth_a_retry_and_the_status_says_it_otherwise(
    error: dict[str, object], *, retryable: bool
) -> None:
    assert item_results({"results": [failure("t-1", **error)]}, ["t-1"])["t-1"].retryable is retryable


@pytest.mark.parametrize("results", [None, "x", [], [None, 7, {}], [success("somebody-else")]])
def test_an_item_that_is_not_mentioned_is_to_be_sent_again(results: object) -> None:
    result = item_results({"results": results}, ["t-1"])["t-1"]
    assert (result.ok, result.status, result.retryable) == (False, NO_ANSWER, True)


def test_a_success_without_a_contact_id_is_to_be_sent_again() -> None:
    result = item_results({"results": [{"id": "t-1", "success": True, "entity": {}}]}, ["t-1"])["t-1"]
    assert (result.ok, result.retryable) == (False, True)


def test_free_text_in_place_of_a_code_is_not_repeated() -> None:
    result = item_results({"results": [failure("t-1", code="Ada's mail is wrong")]}, ["t-1"])["t-1"]
    assert result.code == "unknown"

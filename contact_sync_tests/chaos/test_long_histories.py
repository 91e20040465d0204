"""Laws of `steps`, over as many histories as there is time for."""

import pytest
from hypothesis import HealthCheck, settings

from contact_sync_tests.steps.conftest import shared_twin
from contact_sync_tests.steps.test_corrections import law_of_corrections
from contact_sync_tests.steps.test_histories import any_order_ends_the_same, of_any_history
from contact_sync_tests.steps.test_overlap import law_of_late_rows

__all__ = [
    "shared_twin",
    "test_every_order_of_many_histories_ends_the_same",
    "test_nobody_is_mixed_up",
    "test_whatever_comes_late_arrives",
]

pytestmark = pytest.mark.chaos


test_every_order_of_many_histories_ends_the_same = settings(
    max_examples=80, deadline=None, suppress_health_check=list(HealthCheck)
)(of_any_history(any_order_ends_the_same))

test_whatever_comes_late_arrives = law_of_late_rows(200)

test_nobody_is_mixed_up = law_of_corrections(80)

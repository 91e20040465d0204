from collections.abc import Iterator

import pytest

from contact_sync.crm import salesforce_bulk
from contact_sync_tests.crm.contract import FIRST_NAMES, Harness, Record, SourceContract, read
from contact_sync_tests.crm.salesforce_harness import SalesforceHarness


class _Salesforce(SourceContract):
    def test_values_come_unchanged(self, harness: Harness) -> None:
        """Salesforce keeps no empty text: it is no value."""
        harness.put(Record(str(number), first_name=name) for number, name in enumerate(FIRST_NAMES))
        found = {change.crm_id: change.fields[harness.first_name] for change in read(harness.source())}
        assert found == {str(number): name or None for number, name in enumerate(FIRST_NAMES)}


class TestSalesforceRest(_Salesforce):
    @pytest.fixture
    def harness(self) -> Iterator[SalesforceHarness]:
        harness = SalesforceHarness()
        yield harness
        harness.close()


class TestSalesforceWithAccounts(_Salesforce):
    @pytest.fixture
    def harness(self) -> Iterator[SalesforceHarness]:
        harness = SalesforceHarness(account_changes=True)
        yield harness
        harness.close()


class TestSalesforceBulk(_Salesforce):
    """Every window and all of the living by a query job."""

    @pytest.fixture
    def harness(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[SalesforceHarness]:
        monkeypatch.setattr(salesforce_bulk, "RESULT_ROWS", 7)
        harness = SalesforceHarness(bulk_above=0)
        yield harness
        harness.close()

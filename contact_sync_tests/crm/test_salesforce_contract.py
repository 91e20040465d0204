from collections.abc import Iterator

import pytest

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

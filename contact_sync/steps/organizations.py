"""The organisations that a delivery's contacts belong to: there before them, and remembered.

What belongs here: which accounts have to be sent. A contact can be linked to its organisation by the id in Genesys
only, so each account is upserted first, under its own external id, unless the state database knows it by its name.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from contact_sync.genesys.answers import ItemResult
from contact_sync.genesys.client import MAX_UPSERTS, GenesysClient
from contact_sync.genesys.organizations import Organization, upsert_organizations
from contact_sync.genesys.payloads import ExternalId
from contact_sync.state.bulk import chunks
from contact_sync.state.store import Store
from contact_sync.steps.sources import external_source

Account = tuple[str, str]
"""An account: the source's name and the CRM id."""


def account_source(source: str) -> str:
    """Return what the external source of a CRM's accounts is called in Genesys."""
    return external_source(f"{source} account")


def account_of(text: str) -> tuple[Account, str]:
    """Return the account and the name that a request's organisation is."""
    source, account, name = json.loads(text)
    return (source, account), name


@dataclass(frozen=True, slots=True)
class Found:
    """What became of accounts: the ids in Genesys, and the results of those that Genesys refused."""

    ids: Mapping[Account, str] = field(default_factory=dict)
    refused: Mapping[Account, ItemResult] = field(default_factory=dict)


class Organizations:
    """Finds organisations, creating and renaming them where needed.

    Args:
        client: Writes them.
        store: Remembers them.
        pool: Sends requests.
        concurrency: How many at once.
    """

    def __init__(self, client: GenesysClient, store: Store, pool: ThreadPoolExecutor, concurrency: int) -> None:
        self._client = client
        self._store = store
        self._pool = pool
        self._round = MAX_UPSERTS * concurrency

    def find(self, names: Mapping[Account, str]) -> Found:
        """Return the organisations of accounts, which are called so in the CRM now.

        Raises:
            GenesysFatalError: Genesys refuses every request: credentials, permissions.
            GenesysRetryableError: Genesys does not answer; what it did answer is remembered, or repeated safely.
            StateError: They cannot be read or remembered.
        """
        known = self._known(names)
        ids = {account: known[account][0] for account in names if account in known}
        unknown = [one for one, name in names.items() if one not in known or known[one][1] != name]
        refused: dict[Account, ItemResult] = {}
        for some in chunks(unknown, self._round):
            done = dict(zip(some, self._upserted(some, names), strict=True))
            made = {account: str(result.contact_id) for account, result in done.items() if result.ok}
            self._store.note_organizations([_row(account, made[account], names[account]) for account in made])
            ids |= made
            refused |= {account: result for account, result in done.items() if not result.ok}
        return Found(ids, refused)

    def _known(self, accounts: Iterable[Account]) -> dict[Account, tuple[str, str]]:
        asked = list(accounts)
        return {
            (source, account): found
            for source in dict.fromkeys(source for source, _ in asked)
            for account, found in self._store.organizations(
                source, [account for its, account in asked if its == source]
            ).items()
        }

    def _upserted(self, accounts: Sequence[Account], names: Mapping[Account, str]) -> Iterator[ItemResult]:
        sources = {
            source: self._client.ensure_external_source(account_source(source))
            for source in dict.fromkeys(source for source, _ in accounts)
        }
        organizations = [
            Organization(ExternalId(sources[source], account), names[source, account])
            for source, account in accounts
        ]
        batches = list(chunks(organizations, MAX_UPSERTS))
        for results in self._pool.map(lambda batch: upsert_organizations(self._client, batch), batches):
            yield from results


def _row(account: Account, organization: str, name: str) -> dict[str, str]:
    source, crm_id = account
    return {"source": source, "account": crm_id, "organization": organization, "name": name}

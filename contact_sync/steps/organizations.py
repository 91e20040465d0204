"""The organisations that a delivery's contacts belong to: there before them, and remembered.

What belongs here: which accounts have to be sent. A contact can be linked to its organisation by the id in Genesys
only, so each account is upserted first, under its own external id, unless the state database knows it by its name.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from contact_sync.contacts.fields import ORGANIZATION
from contact_sync.contacts.requests import ContactRequest
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


def account_of(request: ContactRequest | None) -> tuple[Account, str] | None:
    """Return the account that a request links its contact to, and what it is called; None if it links none."""
    text = request.contact.get(ORGANIZATION) if request else None
    if text is None:
        return None
    source, account, name = json.loads(text)
    return (source, account), name


def names_of(requests: Iterable[ContactRequest | None]) -> dict[Account, str]:
    """Return what the accounts of requests are called; of several names the last."""
    return dict(filter(None, map(account_of, requests)))


def unknown(store: Store, names: Mapping[Account, str]) -> list[Account]:
    """Return the accounts that the state database does not know, or not by these names."""
    known = _known(store, names)
    return [one for one, name in names.items() if one not in known or known[one][1] != name]


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
        ids = {account: found for account, (found, _) in _known(self._store, names).items()}
        refused: dict[Account, ItemResult] = {}
        for some in chunks(unknown(self._store, names), self._round):
            done = dict(zip(some, self._upserted(some, names), strict=True))
            made = {account: str(result.contact_id) for account, result in done.items() if result.ok}
            self._store.note_organizations([_row(account, made[account], names[account]) for account in made])
            ids |= made
            refused |= {account: result for account, result in done.items() if not result.ok}
        return Found(ids, refused)

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


def _known(store: Store, accounts: Iterable[Account]) -> dict[Account, tuple[str, str]]:
    asked = list(accounts)
    return {
        (source, account): found
        for source in dict.fromkeys(source for source, _ in asked)
        for account, found in store.organizations(source, [one for its, one in asked if its == source]).items()
    }


def _row(account: Account, organization: str, name: str) -> dict[str, str]:
    source, crm_id = account
    return {"source": source, "account": crm_id, "organization": organization, "name": name}

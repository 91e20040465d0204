"""A million contacts of Salesforce through one query job: seconds, and the memory that it takes.

The twin runs in a process of its own, so that what it holds is not counted. Run it by `make bench`.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection

from contact_sync.contacts.window import Window
from contact_sync.crm.http import Http
from contact_sync.crm.salesforce import SalesforceSource
from contact_sync.crm.salesforce_settings import Salesforce
from contact_sync.simulator.salesforce.records import record_id
from contact_sync.simulator.salesforce.server import SalesforceServer
from contact_sync_tests.crm.salesforce_harness import CREDENTIALS

START = datetime(2026, 6, 1, tzinfo=UTC)
MONTH = Window(START, START + timedelta(days=30))
FIELDS = ("AccountId", "Account.Name", "FirstName", "LastName", "Title", "Email", "Phone", "MobilePhone")
MOST_MEGABYTES = 100
"""What reading may add to the process, whatever the number of contacts."""


def main() -> None:
    """Print the figures; exit with 1 if memory is not flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=1_000_000)
    contacts: int = parser.parse_args().contacts
    with _twin(contacts) as url:
        source = SalesforceSource(Salesforce(url=url), CREDENTIALS, FIELDS, settle=timedelta(0), http=Http())
        before, started = _megabytes(), time.monotonic()
        read = sum(map(len, source.changes(MONTH)))
        seconds, added = time.monotonic() - started, _megabytes() - before
        source.close()
    flat = added < MOST_MEGABYTES
    verdict = "flat" if flat and read == contacts else "NOT flat, or not all"
    sys.stdout.write(
        f"Bulk API 2.0: {read:,} contacts in {seconds:.1f} s ({read / seconds:,.0f} a second), {added:.0f} MB "
        f"more memory: {verdict}\n"
    )
    sys.exit(not (flat and read == contacts))


@contextmanager
def _twin(contacts: int) -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(contacts, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        process.join(30)


def _serve(contacts: int, pipe: Connection) -> None:
    with SalesforceServer() as server:
        for number in range(contacts // 100):
            account = {"Id": record_id("001", number), "Name": f"Company {number}"}
            server.org.records.put("Account", account, at=START)
        for number in range(contacts):
            server.org.records.put(
                "Contact", _contact(number, contacts), at=START + timedelta(seconds=number * 2.5)
            )
        pipe.send(server.base_url)
        pipe.recv()


def _contact(number: int, contacts: int) -> dict[str, object]:
    return {
        "Id": record_id("003", number),
        "AccountId": record_id("001", number % max(contacts // 100, 1)),
        "FirstName": "Ada",
        "LastName": f"Lovelace {number}",
        "Title": "Countess",
        "Email": f"ada.{number}@example.org",
        "Phone": f"+49 30 {number:08}",
        "MobilePhone": f"+49 170 {number:07}",
    }


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()

"""How big the twin is with a million contacts, and how fast it then answers a bulk enrich of ten."""

import argparse
import resource
import statistics
import time
from collections.abc import Iterator

import requests

from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings

Json = dict[str, object]


def main() -> None:
    """Fill a twin, ask it, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=200)
    asked = parser.parse_args()
    with TwinServer(TwinSettings(requests_per_minute=1_000_000)) as twin:
        source = twin.store.sources.create({"name": "bench", "active": True})["id"]
        started = time.perf_counter()
        for number in range(asked.contacts):
            twin.store.contacts.create(_contact(number, source))
        say(f"{asked.contacts:,} contacts in {time.perf_counter() - started:.0f} s, {_gigabytes():.2f} GB")
        for name, first in (("update", 0), ("create", asked.contacts)):
            times = sorted(_times(twin, source, first, asked.requests))
            median, late = statistics.median(times), times[int(len(times) * 0.95)]
            say(f"bulk enrich of 10, {name}, HTTP included: {median * 1000:.1f} ms median, {late * 1000:.1f} p95")


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 (a benchmark's output)


def _times(twin: TwinServer, source: object, first: int, count: int) -> Iterator[float]:
    """Yield the seconds of requests for contacts from number `first` on."""
    with requests.Session() as session:
        answer = session.post(
            f"{twin.base_url}/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=next(iter(twin.settings.clients.items())),
            timeout=10,
        )
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        for start in range(first, first + 10 * count, 10):
            body = {"entities": [_item(number, source) for number in range(start, start + 10)]}
            begun = time.perf_counter()
            answer = session.post(
                f"{twin.base_url}/api/v2/externalcontacts/bulk/contacts/enrich", json=body, timeout=10
            )
            yield time.perf_counter() - begun
            if answer.json()["errorCount"]:
                raise SystemExit(f"the twin refused an item: status {answer.status_code}")


def _item(number: int, source: object) -> Json:
    contact = _contact(number, source) | {"title": "changed"}
    identifier = {"type": "ExternalId", "externalSource": {"id": source}, "value": f"crm-{number}"}
    return {"id": str(number), "action": "Upsert", "matchingIdentifiers": [identifier], "contact": contact}


def _contact(number: int, source: object) -> Json:
    return {
        "firstName": f"First{number % 5000}",
        "lastName": f"Last{number}",
        "workEmail": f"person{number}@company{number % 9999}.example",
        "workPhone": {"display": f"+49308{number % 10_000_000:07d}"},
        "cellPhone": {"display": f"+49170{number % 10_000_000:07d}"},
        "address": {"city": f"City{number % 3000}", "countryCode": "DE"},
        "externalIds": [{"externalSource": {"id": source}, "value": f"crm-{number}"}],
    }


def _gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


if __name__ == "__main__":
    main()

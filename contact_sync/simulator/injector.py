"""The injector: which request, answer or item a fault hits.

What belongs here: drawing and counting, and the refusals that faults bring. What can go wrong is `faults`' to say;
breaking connections is `breakage`'s.
"""

import json
import math
import random
from collections import Counter

from contact_sync.simulator.access import TokenRefusedError
from contact_sync.simulator.errors import ApiError, GatewayError, Json, failure
from contact_sync.simulator.faults import Chance, Faults, Limit
from contact_sync.simulator.settings import TwinSettings


class _Run:
    """Some faults from when they were set, with a generator for each: turning one on shifts no other."""

    def __init__(self, faults: Faults, since: float) -> None:
        self.faults = faults
        self._since = since
        self._hits: Counter[str] = Counter()
        self._generators: dict[str, random.Random] = {}

    def hits(self, name: Chance, entity: str, now: float) -> bool:
        share = getattr(self.faults, name)
        lasting = now - self._since < self.faults.for_seconds.get(name, math.inf)
        left = self._hits[name] < self.faults.at_most.get(name, math.inf)
        hit = bool(share and lasting and left and self._drawn(name, entity) < share)
        self._hits[name] += hit
        return hit

    def _drawn(self, name: Chance, entity: str) -> float:
        """Return a number from 0 to 1: the next one, or always the same one for an entity."""
        seed = f"{self.faults.seed}/{name}/{entity}"
        if entity:
            return random.Random(seed).random()  # noqa: S311 -- guards no secret
        if name not in self._generators:
            self._generators[name] = random.Random(seed)  # noqa: S311 -- guards no secret
        return self._generators[name].random()


class Injector:
    """The faults in force, and how often each has hit.

    Attributes:
        injected: How often each fault has hit since the start or the last reset of the statistics.
    """

    def __init__(self, settings: TwinSettings) -> None:
        self._settings = settings
        self.injected: Counter[str] = Counter()
        self.faults = settings.faults

    @property
    def faults(self) -> Faults:
        """The faults in force; setting them starts their bounds and their random choices anew."""
        return self._run.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._run = _Run(faults, self._settings.clock())

    def hits(self, name: Chance, entity: str = "") -> bool:
        """Whether `name` hits now, counted if so; an entity that is named is hit every time or never."""
        hit = self._run.hits(name, entity, self._settings.clock())
        self.injected[name] += hit
        return hit

    def latency(self) -> float:
        """Return the seconds to wait before an answer."""
        seconds = self.faults.latency_seconds
        self.injected["latency_seconds"] += seconds > 0
        return seconds

    def limit(self, name: Limit, usual: int, asked: int) -> int:
        """Return the limit in force; counted where the usual one would have let `asked` pass."""
        lowered: int | None = getattr(self.faults, name)
        if lowered is None:
            return usual
        self.injected[name] += lowered < asked <= usual
        return min(lowered, usual)

    def throttle(self) -> None:
        """Refuse a request of a storm.

        Raises:
            ApiError: 429, with or without the seconds to wait.
        """
        if not self.hits("throttled"):
            return
        seconds = self.faults.retry_after
        if seconds is None:
            allowed, window = self._settings.requests_per_minute, self._settings.window_seconds
            message = f"Rate limit exceeded the maximum [{allowed}] requests within [{window}] seconds"
            raise ApiError(429, "too.many.requests", message)
        message = f"Rate limit exceeded the maximum. Retry the request in [{seconds}] seconds"
        raise ApiError(429, "too.many.requests.retry.after", message, retry_after=seconds)

    def fail(self, name: Chance) -> None:
        """Fail a request with the 5xx.

        Raises:
            ApiError: The 5xx, a GatewayError if it is to be a gateway's page.
        """
        if self.hits(name):
            status = self.faults.server_error_status
            raise GatewayError(status) if self.faults.server_error_html else failure(status)

    def throttle_token(self) -> None:
        """Refuse a token as Genesys does when too many are asked for.

        Raises:
            TokenRefusedError: invalid_request.
        """
        if self.hits("token_throttled"):
            raise TokenRefusedError("invalid_request", "rate limit exceeded; too many token requests")

    def before_item(self, item: Json) -> None:
        """Refuse or fail a bulk item of which nothing was done yet.

        Raises:
            ApiError: 422 for an entity that is refused for good, else the status of a failure.
        """
        if self.hits("item_refused", _entity(item)):
            raise ApiError(422, "validation.failed", "Validation failed. The entity is refused.")
        self._fail_item("item_error")

    def after_item(self) -> None:
        """Fail a bulk item that was done.

        Raises:
            ApiError: It is reported as failed.
        """
        self._fail_item("item_error_done")

    def _fail_item(self, name: Chance) -> None:
        if self.hits(name):
            raise failure(self.faults.item_error_status)


def _entity(item: Json) -> str:
    """Return what an item is about: the tracker id of an enrichment says nothing of it."""
    return json.dumps(item.get("matchingIdentifiers") or item.get("id") or item, sort_keys=True)

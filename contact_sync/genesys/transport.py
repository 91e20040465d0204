"""Calls of the API: paced, authorised, repeated where that helps.

What belongs here: the order of things around an exchange: the token, a turn in the budget's line, the wire; what
an answer tells the budget, and what it means for the next attempt. Paths and bodies belong to the client.

A request is repeated when its answer is lost, unless its caller says that it must not: an enrich matches on our
external ids, a removal of what is gone changes nothing, a claim of what is ours already neither, and a second
external source of the same name is refused. A plain create of a contact has no place here.
"""

import threading
import time
from collections.abc import Callable, Mapping

import requests

from contact_sync.genesys.auth import TokenManager
from contact_sync.genesys.budget import Budget
from contact_sync.genesys.errors import GenesysRetryableError
from contact_sync.genesys.regions import Hosts
from contact_sync.genesys.wire import Answer, Wire
from contact_sync.wire import BearerAuth, repeated

PATIENCE = 300.0  # seconds; a longer wait is the caller's to plan, not ours to sleep through
ROUNDING = 1.0  # seconds; Retry-After is in whole seconds
NAP = 1.0  # seconds; somebody who waits for a turn looks up this often: the pace may have changed


class Transport:
    """Sends calls to the API host; safe to share between threads.

    Args:
        hosts: Where the organisation lives.
        tokens: The OAuth client's tokens.
        budget: Asked before every request, told of every answer.
        session: Carries proxies and certificates, if any are needed.
        sleep: Waits for a number of seconds.
        clock: Monotonic seconds.
        deadline: Seconds for one exchange.
        attempts: How often a call is tried.

    Attributes:
        hosts: Where the organisation lives.
        requests_sent: Requests to the API host, repeated ones included.
        writes_sent: Those of them that change something.
    """

    def __init__(
        self,
        hosts: Hosts,
        tokens: TokenManager,
        budget: Budget,
        *,
        session: requests.Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        deadline: float = 60.0,
        attempts: int = 5,
    ) -> None:
        self.hosts = hosts
        self._tokens = tokens
        self._budget = budget
        self._wire = Wire(session, clock, deadline)
        self._sleep = sleep
        self._clock = clock
        self._attempts = attempts
        self._lock = threading.Lock()
        self._line = threading.Lock()
        self.requests_sent = 0
        self.writes_sent = 0

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """Read `path`; see `post` for what it raises."""
        return self._call("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, object], *, repeat: bool = True) -> Answer:
        """Send `body` to `path` and return an answer that is a success and a JSON object.

        Args:
            path: Where to.
            body: JSON.
            repeat: Whether it may be sent again when it fails.

        Raises:
            GenesysRetryableError: Still failing after the last attempt, or a wait longer than `PATIENCE`.
            GenesysRowError: The content is refused.
            GenesysFatalError: Nothing that a repetition would mend.
        """
        return self._call("POST", path, json=body, attempts=self._attempts if repeat else 1)

    def put(self, path: str, body: Mapping[str, object]) -> Answer:
        """Replace what is at `path`; once, since a version that was lost on the way conflicts with itself."""
        return self._call("PUT", path, json=body, attempts=1)

    def patch(self, path: str, body: Mapping[str, object]) -> Answer:
        """Send `body` to `path` as `post` does; only for what may be repeated."""
        return self._call("PATCH", path, json=body)

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, object] | None = None,
        attempts: int | None = None,
    ) -> Answer:
        request = requests.Request(method, self.hosts.api + path, params=params, json=json)
        return repeated(
            lambda: self._attempt(request),
            attempts=attempts or self._attempts,
            patience=PATIENCE,
            sleep=self._sleep,
        )

    def _attempt(self, request: requests.Request) -> Answer:
        token = self._tokens.token()
        answer = self._send(request, token)
        if answer.status == 401:  # revoked before its time: one new token, one replay
            self._tokens.invalidate(token)
            answer = self._send(request, self._tokens.token())
        if not answer.ok:
            raise answer.error()
        answer.require_object()
        return answer

    def _send(self, request: requests.Request, token: str) -> Answer:
        ticket = self._await_turn()
        with self._lock:
            self.requests_sent += 1
            self.writes_sent += request.method != "GET"
        sent = self._clock()
        # A request of its own, for the token: the attempts share the other one.
        answer = self._wire.exchange(
            requests.Request(
                request.method, request.url, params=request.params, json=request.json, auth=BearerAuth(token)
            )
        )
        if limit := answer.rate_limit:
            self._budget.observe(
                ticket, self._clock() - sent, count=limit.count, allowed=limit.allowed, reset=limit.reset
            )
        if (wait := answer.retry_after) is not None:
            self._budget.pause(wait + ROUNDING)
        return answer

    def _await_turn(self) -> int:
        """Sleep until it is our turn, whatever changes meanwhile; return the ticket."""
        with self._line:  # one place in the shared line for all threads: a process that dies loses no more
            ticket, wait = self._budget.reserve()
            while wait > 0:
                if wait > PATIENCE:
                    msg = f"the request budget is paused for {wait:.0f} s"
                    raise GenesysRetryableError(msg, retry_after=wait)
                self._sleep(min(wait, NAP))
                wait = self._budget.remaining(ticket)
            return ticket

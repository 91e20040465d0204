"""Trouble: what goes wrong, with which request.

What belongs here: planning and drawing it. What it does to an answer is the door's.
"""

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "lost",  # done, then closed without a byte of answer
    "reset",  # done, then reset in the middle of the answer's body
    "drip",  # answered in small pieces, over a second
    "html",  # a gateway's page in place of JSON, with 503
    "maintenance",  # a page of HTML with 200
    "throttled",  # 429 with Retry-After
    "crowded",  # 403: too many long requests at once
    "expired",  # the token is revoked before the request is looked at
    "forbidden",  # 403 INSUFFICIENT_ACCESS
    "locator_lost",  # the query locator is gone
    "page_skipped",  # a page of a result is left out
    "foreign_link",  # nextRecordsUrl leads to another host
    "job_failed",  # a query job ends as Failed
    "token_refused",  # the token endpoint answers invalid_client
    "token_error",  # the token endpoint answers 503
    "foreign_instance",  # the token endpoint names another host
]


@dataclass(slots=True)
class _Plan:
    kind: Kind
    path: str
    after: int
    times: int


class Trouble:
    """What is planned, and how often it has hit.

    Attributes:
        hits: How often each kind has hit.
    """

    def __init__(self) -> None:
        self._plans: list[_Plan] = []
        self._lock = threading.Lock()
        self.hits: Counter[str] = Counter()

    def plan(self, kind: Kind, *, after: int = 0, times: int = 1, path: str = "") -> None:
        """Let `kind` happen.

        Args:
            kind: What.
            after: So many requests that it could hit pass before.
            times: How many it hits then.
            path: Only requests with this in their path.
        """
        with self._lock:
            self._plans.append(_Plan(kind, path, after, times))

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._plans.clear()

    def hit(self, kind: Kind, path: str) -> bool:
        """Whether `kind` happens to this request."""
        with self._lock:
            for plan in self._plans:
                if plan.kind == kind and plan.path in path and plan.times:
                    if plan.after:
                        plan.after -= 1
                        continue
                    plan.times -= 1
                    self.hits[kind] += 1
                    return True
        return False

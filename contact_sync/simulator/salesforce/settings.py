"""What can be chosen about the organisation.

What belongs here: every choice and its reason. What goes wrong on purpose is `trouble`'s.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Clock = Callable[[], float]
"""Seconds since the epoch, as `time.time` gives them."""


@dataclass(frozen=True, slots=True)
class App:
    """An external client app: its secret; for the JWT bearer flow its public key and the users that may."""

    secret: str = field(default="", repr=False)
    public_key: str = ""
    usernames: frozenset[str] = frozenset()


def _trial_apps() -> Mapping[str, App]:
    return {"twin-consumer-key": App("twin-consumer-secret")}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgSettings:
    """One imaginary Salesforce organisation."""

    apps: Mapping[str, App] = field(default_factory=_trial_apps, repr=False)
    """Consumer key to app."""
    audience: str = "https://login.salesforce.com"
    """Who a JWT has to be for."""
    daily_requests: int = 100_000
    """API requests of 24 hours; then 403 REQUEST_LIMIT_EXCEEDED."""
    used_before: int = 0
    """Those of them that others have used already."""
    hidden: frozenset[str] = frozenset()
    """Fields that the user may not see: `Contact.Email`."""
    token_seconds: float = 7_200.0
    """After so long without use a token is no good; Salesforce's answers do not tell."""
    min_batch: int = 200
    """The smallest batchSize that is heeded; Salesforce's own, less for tests."""
    max_batch: int = 2_000
    """The largest."""
    irregular: bool = True
    """Whether pages are smaller than asked for at times, as Salesforce reserves."""
    locator_seconds: float = 900.0
    """After so long without use a query locator is gone."""
    max_locators: int = 10
    """Open locators of the user; one more and the oldest is gone."""
    recycle_seconds: float = 15 * 86_400.0
    """After so long in the recycle bin a record is gone for good."""
    deleted_seconds: float = 30 * 86_400.0
    """How far back getDeleted goes."""
    max_deleted: int = 600_000
    """Ids that getDeleted tells of at once, else EXCEEDED_ID_LIMIT."""
    job_polls: int = 2
    """How often a query job is asked after before it is complete."""
    job_rows: int = 250_000
    """Rows of one page of a job's results, where fewer are not asked for."""
    skew_seconds: float = 0.0
    """How far the organisation's clock is ahead of `clock`."""
    clock: Clock = field(default=time.time, repr=False)
    """Where the twin reads the time; tests put their own here."""

    def now(self) -> float:
        """Return the organisation's own time, in seconds since the epoch."""
        return self.clock() + self.skew_seconds

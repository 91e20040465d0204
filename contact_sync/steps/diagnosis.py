"""What a check of the doctor finds, and what the checks hand on to each other.

What belongs here: the words of a finding. The checks are `doctor`'s and `genesys_checks`'.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from sqlalchemy import Engine

from contact_sync.crm.source import CrmSource
from contact_sync.genesys.client import GenesysClient
from contact_sync.genesys.permissions import Finding
from contact_sync.settings import Settings
from contact_sync.steps.connect import Connected, Way

Verdict = Literal["ok", "warn", "fail", "skipped"]

MAX_SKEW = timedelta(seconds=30)
"""Clocks that differ by more are worth a warning."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found: one line, and what to do where something is wrong.

    Attributes:
        name: What was looked at.
        verdict: How it stands; `skipped` if what it builds on is not there.
        says: The finding.
        to_be_set_right: Whether an operator has to set something right; else waiting may help.
    """

    name: str
    verdict: Verdict
    says: str
    to_be_set_right: bool = False


class NeededFirstError(Exception):
    """A check cannot be made: what it builds on is not there."""


@dataclass
class Case:
    """What the checks found so far, for those that build on it; the stack closes what they opened."""

    clock: Callable[[], datetime]
    stack: ExitStack
    settings: Settings | None = None
    source: CrmSource | None = None
    engine: Engine | None = None
    way: Way | None = None
    connected: Connected | None = None
    client: GenesysClient | None = None
    """Only once the organisation has answered, and is the right one."""
    permissions: dict[str, Finding] = field(default_factory=dict)


def needed(found: T | None, name: str) -> T:
    """Return what the check `name` found.

    Raises:
        NeededFirstError: It found nothing.
    """
    if found is None:
        raise NeededFirstError(f"needs {name}")
    return found


def ok(name: str, says: str) -> Check:
    """Return a finding that all is well."""
    return Check(name, "ok", says)


def must_be_set_right(name: str, says: str) -> Check:
    """Return a finding that an operator has to do something about."""
    return Check(name, "fail", says, to_be_set_right=True)


def compare_clocks(name: str, theirs: datetime, ours: datetime, whose: str) -> Check:
    """Return how far this machine's clock is from another one."""
    skew = ours - theirs
    seconds = round(abs(skew).total_seconds())
    if abs(skew) <= MAX_SKEW:
        return ok(name, f"{seconds} s apart from {whose}")
    relation = "ahead of" if skew > timedelta(0) else "behind"
    return Check(
        name,
        "warn",
        f"this machine is {seconds} s {relation} {whose}: tokens and windows suffer; let NTP set its clock",
    )

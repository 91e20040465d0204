"""The doctor: whether everything that the sync needs is there, one answer for each thing, and what to do if not.

What belongs here: the checks of settings, CRM and state, the order of all checks, and how a failure becomes an
answer; those of Genesys are `genesys_checks`'. A check changes nothing, and one that fails stops only those that
build on it. How the sync itself stands is `report`'s to say.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta

from contact_sync.connections import load_connections
from contact_sync.contacts.window import Window
from contact_sync.crm.source import CrmConfigurationError, CrmError
from contact_sync.crm.sql import BLIND, SqlSource
from contact_sync.genesys.errors import GenesysError, GenesysFatalError
from contact_sync.settings import ConfigurationError, config_path, load_settings
from contact_sync.state.database import StateError, database_exists, database_version, open_database
from contact_sync.steps import genesys_checks
from contact_sync.steps.context import utc_now
from contact_sync.steps.crms import open_source
from contact_sync.steps.diagnosis import (
    Case,
    Check,
    NeededFirstError,
    compare_clocks,
    must_be_set_right,
    needed,
    ok,
)

_WRONG = (ConfigurationError, CrmConfigurationError, GenesysFatalError)
_FAILURES = (CrmError, GenesysError, StateError)

_NO_GENESYS = {"genesys_client_id": "unset", "genesys_client_secret": "unset"}
"""Stands in for variables that a check has no use for, so that it runs without them."""


def examine(clock: Callable[[], datetime] = utc_now) -> Iterator[Check]:
    """Yield what each check finds, as it finds it.

    Args:
        clock: Now, aware.
    """
    with ExitStack() as stack:
        case = Case(clock, stack)
        for name, check in _CHECKS:
            yield from _examined(name, check, case)


def _examined(name: str, check: Callable[[Case], Iterator[Check]], case: Case) -> Iterator[Check]:
    try:
        yield from check(case)
    except NeededFirstError as first:
        yield Check(name, "skipped", str(first))
    except _WRONG as error:
        yield must_be_set_right(name, "; ".join(str(error).splitlines()))
    except _FAILURES as error:
        yield Check(name, "fail", str(error))


def _settings(case: Case) -> Iterator[Check]:
    case.settings = load_settings()
    count = len(case.settings.registry.crm_fields)
    yield ok("settings", f"{config_path()}; the registry reads {count} CRM fields")


def _crm(case: Case) -> Iterator[Check]:
    """Read a window that holds nothing, which takes the table, every field and the right to read them."""
    settings = needed(case.settings, "settings")
    source = open_source(settings, load_connections(settings.crm, **_NO_GENESYS))
    case.stack.callback(source.close)
    start = settings.sync.first_window_start
    for _ in source.changes(Window(start, start + timedelta(microseconds=1))):
        pass
    case.source = source
    yield ok("crm", f"{settings.crm.kind.place} has every field that is read")
    if isinstance(source, SqlSource) and not source.sees_writers():
        yield Check("crm", "warn", BLIND)


def _crm_clock(case: Case) -> Iterator[Check]:
    time = needed(case.source, "crm").server_time()
    if time is None:
        yield ok("crm clock", "this kind of CRM is not asked for its time")
    else:
        yield compare_clocks("crm clock", time, case.clock(), "the CRM")


def _state(case: Case) -> Iterator[Check]:
    """Look at the database without making or migrating one; a new one in memory serves where none can be used."""
    case.engine = open_database("sqlite://")
    case.stack.callback(case.engine.dispose)
    url = load_connections(**_NO_GENESYS).state_url.get_secret_value()
    if not database_exists(url):
        yield ok("state", "not there yet: the first run creates it")
        return
    version, newest = database_version(url)
    if version != newest:
        yield ok("state", f"version {version or 'none'}, writable: the next run brings it to {newest}")
        return
    case.engine = open_database(url)
    case.stack.callback(case.engine.dispose)
    yield ok("state", f"version {version}, writable")


_CHECKS = (
    ("settings", _settings),
    ("crm", _crm),
    ("crm clock", _crm_clock),
    ("state", _state),
    *genesys_checks.CHECKS,
)

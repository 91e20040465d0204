"""What every step needs: the settings, the CRM, the state, the frames, a way to Genesys, and the clock.

What belongs here: opening these, and the refusal of a frame that breaks its contract. What a step does with them
belongs to the step.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pandas as pd

from contact_sync.contacts.planning import DELETE_GUARD
from contact_sync.contacts.schemas import SCHEMAS, ContractError, check
from contact_sync.contacts.window import Window
from contact_sync.crm.source import CrmSource
from contact_sync.crm.sql import SqlSource
from contact_sync.genesys.auth import TokenManager
from contact_sync.genesys.client import GenesysClient
from contact_sync.genesys.regions import resolve
from contact_sync.settings import ConfigurationError, Connections, Settings
from contact_sync.state.database import open_database
from contact_sync.state.frames import FrameStore
from contact_sync.state.pace import SharedPace
from contact_sync.state.store import Store

FEW_ROWS = 20
"""Below this many rows a share says nothing."""


def utc_now() -> datetime:
    """Return the present instant, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class SyncContext:
    """One code location, opened: shared by the steps of a run."""

    settings: Settings
    source: CrmSource
    store: Store
    frames: FrameStore
    genesys: GenesysClient
    pace: SharedPace
    clock: Callable[[], datetime] = field(default=utc_now)
    allow_deletes: bool = False

    def checked(self, asset: str, window: Window) -> pd.DataFrame:
        """Return the frame of an asset and window, refused if it breaks its contract.

        Raises:
            StateError: There is no such frame, or its file is damaged.
            ContractError: The frame breaks its contract; nothing is done with it.
        """
        frame = self.frames.read(asset, window)
        check_frame(asset, frame, self.settings.sync.max_held_share)
        return frame


def check_frame(asset: str, frame: pd.DataFrame, max_held_share: float) -> None:
    """Refuse a frame that breaks its contract: its columns, types and keys, and the share of rows held.

    Raises:
        ContractError: With the columns and rules, or the share; without values.
    """
    check(SCHEMAS[asset], frame)
    held = held_share(asset, frame)
    if len(frame) >= FEW_ROWS and held > max_held_share:
        raise ContractError(
            f"{asset} holds {held:.0%} of {len(frame)} rows, over sync.max_held_share ({max_held_share:.0%}): "
            "look at the reasons in its frame, or raise the setting"
        )


def held_share(asset: str, frame: pd.DataFrame) -> float:
    """Return the share of rows that are held as bad or unclear, 0 for assets that hold none.

    Deletes that the guard holds are neither: a mass delete stops no other row.
    """
    if frame.empty:
        return 0.0
    if asset == "normalized_contacts":
        return float((frame["state"] == "held").mean())
    if asset == "dedup_matches":
        return float(((frame["action"] == "hold") & (frame["rule"] != DELETE_GUARD)).mean())
    return 0.0


def digest(frame: pd.DataFrame) -> str:
    """Return a hash of which versions a frame holds, whatever their order."""
    versions = sorted(zip(frame["crm_id"], frame["version"], strict=True))
    return hashlib.sha256("\x1e".join("\x1f".join(pair) for pair in versions).encode()).hexdigest()


@contextmanager
def open_sync(
    settings: Settings, connections: Connections, *, allow_deletes: bool = False
) -> Iterator[SyncContext]:
    """Open everything that a run needs; checked before anything runs, closed at the end.

    Args:
        settings: The settings.
        connections: Addresses and secrets.
        allow_deletes: Whether a window may remove more contacts than the settings allow.

    Raises:
        ConfigurationError: A setting is wrong.
        CrmConfigurationError: The CRM's URL is wrong.
        StateError: The state database cannot be used.
    """
    try:
        hosts = resolve(connections.genesys_region, connections.genesys_base_url)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    source = SqlSource(
        connections.crm_url.get_secret_value(),
        settings.crm.table,
        settings.registry.crm_fields,
        name=settings.crm.name,
        settle=settings.sync.settle,
        page_size=settings.crm.page_size,
    )
    engine = open_database(connections.state_url.get_secret_value())
    try:
        client_id, secret = connections.genesys_client_id, connections.genesys_client_secret.get_secret_value()
        pace = SharedPace(engine, f"{hosts.region}/{client_id}", per_minute=settings.delivery.requests_per_minute)
        genesys = GenesysClient(hosts, TokenManager(hosts, client_id, secret), pace)
        frames = FrameStore(settings.frames, settings.crm.name)
        yield SyncContext(settings, source, Store(engine), frames, genesys, pace, allow_deletes=allow_deletes)
    finally:
        source.close()
        engine.dispose()


def windows_of(settings: Settings, start: datetime, end: datetime) -> Sequence[Window]:
    """Return the windows that tile `[start, end)`.

    Raises:
        ConfigurationError: The ends are not boundaries of windows, or lie before the start date.
    """
    sync = settings.sync
    try:
        windows = list(Window(start, end).split(sync.frequency))
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    if start < sync.first_window_start:
        raise ConfigurationError(
            f"{windows[0]} lies before sync.start ({sync.first_window_start:%Y-%m-%dT%H:%MZ})"
        )
    return windows

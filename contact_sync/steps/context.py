"""What every step needs: the settings, the CRM, the state, the frames, a way to Genesys, and the clock.

What belongs here: opening these, and the refusal of a frame that breaks its contract. What a step does with them
belongs to the step.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pandas as pd

from contact_sync.connections import Connections
from contact_sync.contacts.window import Window
from contact_sync.crm.source import CrmSource
from contact_sync.genesys.client import GenesysClient
from contact_sync.settings import ConfigurationError, Settings
from contact_sync.state.database import open_database
from contact_sync.state.frames import FrameStore
from contact_sync.state.pace import SharedPace
from contact_sync.state.store import Store
from contact_sync.steps.connect import Way, destination_of, open_genesys
from contact_sync.steps.crms import open_source
from contact_sync.steps.tally import Tally, tally_of

TALLIED_AT_ONCE = 20_000
"""Rows of a frame that are counted at once: a piece costs as much to check as thousands of rows."""


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
    sleep: Callable[[float], None] = field(default=time.sleep)
    _tallies: dict[tuple[str, Window], tuple[str, Tally]] = field(default_factory=dict, repr=False)

    def tally(self, asset: str, window: Window) -> Tally:
        """Return what is counted of a stored frame, read piece by piece, and whether it keeps its contract.

        A file is counted once, as long as nobody writes another in its place.

        Raises:
            StateError: There is no such frame, or its file is damaged.
        """
        file = self.frames.fingerprint(asset, window)
        counted, tally = self._tallies.get((asset, window), ("", None))
        if tally is None or counted != file:
            pieces = self.frames.pieces(asset, window, rows=TALLIED_AT_ONCE)
            tally = tally_of(asset, pieces, self.settings.sync.max_held_share)
            self._tallies[asset, window] = (file, tally)
        return tally


def check_frame(asset: str, frame: pd.DataFrame, max_held_share: float) -> None:
    """Refuse a frame that breaks its contract: its columns, types and keys, and the share of rows held.

    Raises:
        ContractError: With the columns and rules, or the share; without values.
    """
    tally_of(asset, [frame], max_held_share).require()


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
        ConfigurationError: A setting is wrong, or the organisation is not the one that the settings name.
        CrmConfigurationError: The CRM's URL is wrong.
        StateError: The state database cannot be used.
        GenesysError: The region was to be found and could not be, or the organisation to be confirmed.
    """
    destination = destination_of(settings, connections)
    source = open_source(settings, connections)
    engine = open_database(connections.state_url.get_secret_value())
    try:
        frames = FrameStore(settings.frames, settings.crm.name)
        with open_genesys(Way(destination, settings, engine, utc_now)) as genesys:
            yield SyncContext(
                settings,
                source,
                Store(engine),
                frames,
                genesys.client,
                genesys.pace,
                allow_deletes=allow_deletes,
            )
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

"""The demo: a dirty sample CRM, a twin of Genesys Cloud, and the real lineage between them, through Dagster.

What belongs here: the story that the demo tells. Its folder is `demo_home`'s, its CRM `demo_crm`'s. The pieces are
the product's own; nothing is faked on the way.
"""

import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.progress import Progress
from rich.text import Text

from contact_sync.connections import load_connections
from contact_sync.contacts.schemas import OUTCOMES
from contact_sync.contacts.window import Window
from contact_sync.demo_crm import CrmKind, SampleCrm, open_sample
from contact_sync.demo_home import FREQUENCY, MARK, TWIN, environment, is_demo, prepare
from contact_sync.orchestration.assets import ASSETS
from contact_sync.orchestration.partitions import span_tags
from contact_sync.orchestration.retries import RETRY_QUEUE
from contact_sync.rendering import held_table, runs_table
from contact_sync.settings import load_settings
from contact_sync.simulator.server import TwinServer
from contact_sync.steps.context import SyncContext, open_sync, windows_of

HISTORY = timedelta(days=1)
QUIET = 2 * FREQUENCY.length  # after the changes nothing happens: the grace period of deletes

_SILENT = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class Episode:
    """One Dagster run of the demo: what it was about, and what came of it. A retry has no windows."""

    title: str
    windows: int
    counts: Mapping[str, int]
    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo did."""

    episodes: Sequence[Episode]
    retry: Episode
    held_because: Mapping[str, int]
    contacts: int
    organizations: int
    home: str

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows by outcome, the runs of all windows together."""
        return {outcome: sum(one.counts[outcome] for one in self.episodes) for outcome in OUTCOMES}

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return asdict(self) | {"counts": self.counts, "read": sum(self.counts.values())}

    def report(self) -> RenderableType:
        """Return the report for a person."""
        environment = shlex.quote(f"{self.home}/{MARK}")
        runs = (*self.episodes, self.retry)
        return Group(
            runs_table([(run.title, run.counts, run.requests, run.seconds) for run in runs]),
            held_table(self.held_because),
            Text(
                f"\nThe twin of Genesys Cloud now holds {self.contacts:,} contacts of {self.organizations:,} "
                "organisations.\n"
            ),
            Text("Open next:", style="bold"),
            Text("  make ui                  the same runs in the Dagster UI"),
            Text(f"  {self.home}/frames/sample/   one Parquet file for each asset and window"),
            Text(f"  (set -a; . {environment}; {_command()} status)", no_wrap=True),
        )


def run_demo(home: Path, contacts: int, console: Console, crm: CrmKind = CrmKind.SQL) -> DemoResult:
    """Create the sample CRM and run the lineage: a backfill of its history, two later windows with changes.

    The last run goes on to the newest window: every delete's grace period is synced then, and a retry sends it.

    Raises:
        ConfigurationError: `home` holds something that is no demo.
    """
    end = FREQUENCY.floor(datetime.now(UTC) - timedelta(minutes=2))
    changes = list(Window(end - QUIET - 2 * FREQUENCY.length, end - QUIET).split(FREQUENCY))
    history = Window(changes[0].start - HISTORY, changes[0].start)
    prepare(home, contacts, history, crm)
    with (
        TwinServer(TWIN) as twin,
        open_sample(home) as sample,
        environment(home, twin, sample),
        _dagster(home) as instance,
    ):
        console.print(f"Sample CRM: {contacts:,} contacts of the last day in {sample.place}", highlight=False)
        console.print(f"Twin of Genesys Cloud: {twin.base_url}", highlight=False)
        episodes = [_run(instance, "backfill", history, console)]
        spans = (changes[0], Window(changes[1].start, end))
        for number, (window, span) in enumerate(zip(changes, spans, strict=True), start=1):
            sample.live(window, number)
            episodes.append(_run(instance, f"{window.start:%H:%M}Z", span, console))
        retry = _retry(instance)
        with _sync() as opened:
            reasons: Counter[str] = Counter()
            for window in windows_of(opened.settings, history.start, end):
                reasons.update(opened.tally("genesys_upserts", window).held_because)
        twin.store.save(home / "twin.json")
        held = (len(twin.store.contacts), len(twin.store.organizations))
        return DemoResult(episodes, retry, dict(reasons.most_common()), *held, str(home))


def _command() -> str:
    """Return how `contact-sync` of this environment is called from here."""
    path = Path(sys.executable).with_name("contact-sync")
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def serve_ui(home: Path, port: int, console: Console) -> None:
    """Serve the demo's Dagster UI and daemon until interrupted, while the sample CRM lives on."""
    if not is_demo(home):
        end = FREQUENCY.floor(datetime.now(UTC))
        prepare(home, 5000, Window(end - HISTORY, end))
    snapshot = home / "twin.json"
    with TwinServer(TWIN) as twin, open_sample(home) as sample, environment(home, twin, sample):
        if snapshot.is_file():
            twin.store.load(snapshot)
        console.print(f"Dagster UI: http://127.0.0.1:{port}   (Ctrl-C ends it)", highlight=False)
        console.print(f"Twin of Genesys Cloud: {twin.base_url}   (GENESYS_BASE_URL)", highlight=False)
        stopped = threading.Event()
        life = threading.Thread(target=_live, args=(sample, stopped), daemon=True)
        life.start()
        command = [sys.executable, "-m", "dagster", "dev", "-w", str(home / "workspace.yaml")]
        # In a session of its own, so that an interrupt reaches it once, through us, and it ends in order.
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's stop is an interrupt too
        dagster = subprocess.Popen([*command, "-h", "127.0.0.1", "-p", str(port)], start_new_session=True)  # noqa: S603 (our own words)
        try:
            dagster.wait()
        except KeyboardInterrupt:
            console.print("stopping")
        finally:
            dagster.send_signal(signal.SIGINT)
            dagster.wait()
            stopped.set()
            twin.store.save(snapshot)


def _live(crm: SampleCrm, stopped: threading.Event) -> None:
    """Let the sample CRM change in every window, shortly before the window closes."""
    while True:
        start = FREQUENCY.floor(datetime.now(UTC))
        end = start + FREQUENCY.length
        if stopped.wait((end - datetime.now(UTC)).total_seconds()):
            return
        crm.live(Window(start, end), int(start.timestamp()))


@contextmanager
def _dagster(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        yield instance


@contextmanager
def _sync() -> Iterator[SyncContext]:
    settings = load_settings()
    with open_sync(settings, load_connections(settings.crm)) as opened:
        yield opened


def _job(name: str) -> dg.JobDefinition:
    from contact_sync.orchestration.build import build_definitions  # noqa: PLC0415 (reads the demo's settings)

    return build_definitions().resolve_job_def(name)


def _run(instance: dg.DagsterInstance, title: str, span: Window, console: Console) -> Episode:
    """Run the job for a span of windows and read its reports."""
    job = _job("sync_windows")
    started = time.monotonic()
    with _sync() as opened:
        windows = windows_of(opened.settings, span.start, span.end)
        with _progress(opened, f"{title:8}", windows, console):
            tags = {**span_tags(span, FREQUENCY), "demo": "true"}
            job.execute_in_process(instance=instance, tags=tags, run_config=_SILENT)
        reports = pd.concat([opened.frames.read("sync_report", window) for window in windows])
    counts = {outcome: int(reports[outcome].sum()) for outcome in OUTCOMES}
    return Episode(title, len(windows), counts, int(reports["requests"].sum()), time.monotonic() - started)


def _retry(instance: dg.DagsterInstance) -> Episode:
    """Work off the retry queue and read what its asset shows."""
    job = _job("retry_changes")
    started = time.monotonic()
    done = job.execute_in_process(instance=instance, tags={"demo": "true"}, run_config=_SILENT)
    [shown] = done.asset_materializations_for_node(RETRY_QUEUE)
    numbers: dict[str, Any] = {name: value.value for name, value in shown.metadata.items()}
    counts = {outcome: numbers[outcome] for outcome in OUTCOMES}
    return Episode("retry", 0, counts, numbers["requests"], time.monotonic() - started)


@contextmanager
def _progress(opened: SyncContext, title: str, windows: Sequence[Window], console: Console) -> Iterator[None]:
    """Show how many of the run's frames are written, looked at five times a second."""
    paths = [Path(opened.frames.path(asset, window)) for asset in ASSETS for window in windows]
    done = threading.Event()
    with Progress(console=console) as bar:
        task = bar.add_task(title, total=len(paths))

        def watch() -> None:
            while not done.wait(0.2):
                bar.update(task, completed=sum(path.exists() for path in paths))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
            bar.update(task, completed=sum(path.exists() for path in paths))

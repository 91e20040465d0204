"""The demo: what it tells adds up, it starts clean, it destroys nothing, and its folder is its owner's alone."""

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from contact_sync import demo
from contact_sync.cli import app
from contact_sync.contacts.schemas import OUTCOMES
from contact_sync.demo import DemoResult, run_demo
from contact_sync.demo_home import FREQUENCY, TWIN
from contact_sync.orchestration.assets import ASSETS
from contact_sync.settings import ConfigurationError
from contact_sync.simulator.store import TwinStore
from contact_sync_tests.project import forget_environment

CONTACTS = 200
WINDOWS = 6


class Demo(NamedTuple):
    """A demo that has run, with a short history, and what it said meanwhile."""

    home: Path
    result: DemoResult
    said: str


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.fixture(autouse=True)
def short_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "HISTORY", timedelta(hours=1))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    home, said = tmp_path_factory.mktemp("demos") / "my demo", console()
    with pytest.MonkeyPatch.context() as patch:
        forget_environment(patch)
        patch.setattr(demo, "HISTORY", timedelta(hours=1))
        before = dict(os.environ)
        result = run_demo(home, CONTACTS, said)
        assert dict(os.environ) == before
    assert isinstance(said.file, io.StringIO)
    return Demo(home, result, said.file.getvalue())


def frames(ran: Demo, asset: str) -> pd.DataFrame:
    return pd.concat(map(pd.read_parquet, sorted((ran.home / "frames/sample" / asset).iterdir())))


def test_a_backfill_and_two_later_windows_run(ran: Demo) -> None:
    titles = [episode.title for episode in ran.result.episodes]
    assert titles[0] == "backfill"
    assert [episode.windows for episode in ran.result.episodes] == [2, 1, WINDOWS - 3]
    for title in ("Sample CRM: 200 contacts", "Twin of Genesys Cloud: http://127.0.0.1:", *titles):
        assert title in ran.said


def test_every_row_that_was_read_has_an_outcome(ran: Demo) -> None:
    told = ran.result.as_dict()
    assert told["read"] == sum(told["counts"].values()) == len(frames(ran, "crm_delta"))
    outcomes = frames(ran, "genesys_upserts")["outcome"].value_counts()
    assert told["counts"] == {outcome: outcomes.get(outcome, 0) for outcome in OUTCOMES}
    reports = frames(ran, "sync_report")
    assert len(reports) == WINDOWS
    assert sum(episode.requests for episode in ran.result.episodes) == reports["requests"].sum()
    assert sum(ran.result.held_because.values()) == told["counts"]["held"]


def test_the_backfill_creates_and_later_windows_change(ran: Demo) -> None:
    backfill, *later = (episode.counts for episode in ran.result.episodes)
    assert backfill["created"] > CONTACTS * 0.8
    assert backfill["deleted"] == backfill["dead"] == 0
    for counts in later:
        assert min(counts[outcome] for outcome in ("created", "updated", "unchanged", "deleted", "queued")) > 0


def test_deletes_wait_and_a_retry_sends_them_once_their_time_has_come(ran: Demo) -> None:
    retry = ran.result.retry
    assert (retry.title, retry.windows) == ("retry", 0)
    assert 0 < retry.counts["deleted"] == sum(retry.counts.values())
    assert 0 < retry.requests < 5
    rows = frames(ran, "genesys_upserts")
    waited = rows.loc[rows["outcome"] == "queued", "crm_id"].nunique()
    assert waited == retry.counts["deleted"]
    assert ran.result.as_dict()["retry"]["counts"] == retry.counts
    with closing(sqlite3.connect(ran.home / "state.db")) as connection:
        assert connection.execute("SELECT count(*) FROM retry_queue").fetchone() == (0,)


def test_the_twin_holds_what_the_demo_says(ran: Demo) -> None:
    store = TwinStore(TWIN)
    store.load(ran.home / "twin.json")
    with closing(sqlite3.connect(ran.home / "state.db")) as connection:
        [linked] = connection.execute("SELECT count(DISTINCT contact) FROM contact_link").fetchone()
    assert ran.result.contacts == len(store.contacts) == linked > CONTACTS * 0.8


def test_the_report_says_what_to_look_at_next(ran: Demo) -> None:
    said = console()
    said.print(ran.result.report())
    assert isinstance(said.file, io.StringIO)
    text = said.file.getvalue()
    assert f"now holds {ran.result.contacts:,} contacts" in text
    assert f"(set -a; . '{ran.home}/environment'; " in text
    assert "contact-sync status)" in text


def test_the_environment_of_the_demo_leads_back_to_it(ran: Demo) -> None:
    command = f"set -a; . '{ran.home}/environment'; set +a; contact-sync status --json"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 -- our own words
        ["/bin/sh", "-c", command], env={"PATH": path}, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["contacts"] == ran.result.contacts


def test_dagster_knows_the_runs(ran: Demo) -> None:
    with dg.DagsterInstance.from_config(str(ran.home / "dagster")) as instance:
        assert not instance.telemetry_enabled
        runs = instance.get_runs()
        assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 4
        assert sorted(run.job_name for run in runs) == ["retry_changes", *["sync_windows"] * 3]
        for asset in ASSETS:
            assert len(instance.get_materialized_partitions(dg.AssetKey(asset))) == WINDOWS


def test_only_the_owner_can_read_it(ran: Demo) -> None:
    assert ran.home.stat().st_mode & 0o777 == 0o700
    assert (ran.home / "dagster").stat().st_mode & 0o777 == 0o700
    private = [ran.home / name for name in ("crm.db", "state.db", "state.db.lock", "twin.json")]
    files = [path for path in (ran.home / "frames").rglob("*") if path.is_file()]
    assert len(files) == WINDOWS * len(ASSETS)
    for path in [*private, *files]:
        assert path.stat().st_mode & 0o777 == 0o600
    for path in (ran.home / "frames").rglob("*"):
        assert not path.is_dir() or path.stat().st_mode & 0o777 == 0o700


def test_a_second_demo_starts_clean(ran: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_environment(monkeypatch)
    monkeypatch.setattr(demo, "HISTORY", FREQUENCY.length)
    home = tmp_path / "again"
    shutil.copytree(ran.home, home)
    (home / "leftover").touch()
    done = CliRunner().invoke(app, ["demo", "--home", str(home), "--contacts", "100", "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert [episode["windows"] for episode in told["episodes"]] == [1, 1, WINDOWS - 3]
    assert told["episodes"][0]["counts"]["created"] > 80
    assert told["read"] == sum(told["counts"].values())
    assert not (home / "leftover").exists()
    assert len(list((home / "frames/sample/sync_report").iterdir())) == WINDOWS - 1
    assert "Sample CRM: 100 contacts" in done.stderr


@pytest.mark.parametrize("name", ["thesis.txt", "environment"])
def test_a_folder_that_is_no_demo_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("PATH=/usr/bin", encoding="utf-8")
    refusal = f"{tmp_path} holds something that is no demo: choose another folder with --home"
    with pytest.raises(ConfigurationError) as refused:
        run_demo(tmp_path, CONTACTS, console())
    assert str(refused.value) == refusal
    result = CliRunner().invoke(app, ["demo", "--home", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [refusal]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_is_no_folder_for_a_demo(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert CliRunner().invoke(app, ["demo", "--home", str(tmp_path / "file")]).exit_code == 2


@pytest.mark.parametrize(("crm", "name"), [("salesforce", "Salesforce"), ("dynamics", "Dynamics 365")])
def test_the_same_people_in_a_twin_of_another_crm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crm: str, name: str
) -> None:
    forget_environment(monkeypatch)
    monkeypatch.setattr(demo, "HISTORY", FREQUENCY.length)
    home = tmp_path / crm
    done = CliRunner().invoke(app, ["demo", "--home", str(home), "--contacts", "100", "--crm", crm, "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["episodes"][0]["counts"]["created"] > 80
    assert told["read"] == sum(told["counts"].values())
    assert min(told["counts"][outcome] for outcome in ("created", "updated", "unchanged", "merged", "queued")) > 0
    assert told["retry"]["counts"]["deleted"] > 0
    assert (
        f"Sample CRM: 100 contacts of the last day in a twin of {name}: http://127.0.0.1:"
        in done.stderr.replace("\n", "")
    )

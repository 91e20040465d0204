"""One run over a range of windows, and the same range again."""

from collections.abc import Iterator
from typing import NamedTuple

import dagster as dg
import pytest

from contact_sync.contacts.schemas import ACTIONS, OUTCOMES
from contact_sync.contacts.window import Window
from contact_sync.orchestration.assets import ASSETS
from contact_sync.orchestration.partitions import key_of
from contact_sync_tests.orchestration.harness import checks, materialized, metadata, run
from contact_sync_tests.project import FILLED, FREQUENCY, NOBODY, Project, opened_project

COUNTED = {
    "crm_delta": ("kind", ("upsert", "delete", "merge")),
    "normalized_contacts": ("state", ("ready", "held", "superseded")),
    "dedup_matches": ("action", ACTIONS),
    "genesys_upserts": ("outcome", tuple(OUTCOMES)),
}


class Synced(NamedTuple):
    """A project after one run over five windows, of which the last two are empty."""

    project: Project
    instance: dg.DagsterInstance
    result: dg.ExecuteInProcessResult

    @property
    def windows(self) -> list[Window]:
        return list(self.project.span().split(FREQUENCY))


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synced]:
    with opened_project(tmp_path_factory.mktemp("project")) as project, dg.DagsterInstance.ephemeral() as instance:
        project.change(project.window(1), project.people(1), **NOBODY)
        yield Synced(project, instance, run(instance, project.span()))


def test_every_asset_is_materialised_for_every_window(synced: Synced) -> None:
    assert synced.result.success
    assert materialized(synced.result) == {
        (asset, key_of(window)) for asset in ASSETS for window in synced.windows
    }


@pytest.mark.parametrize("asset", COUNTED)
def test_each_window_shows_the_counts_of_its_own_frame(synced: Synced, asset: str) -> None:
    column, values = COUNTED[asset]
    for window in synced.windows:
        frame, shown = synced.project.frame(asset, window), metadata(synced.instance, asset, window)
        assert shown["dagster/row_count"] == len(frame)
        assert {value: shown[value] for value in values} == {
            value: (frame[column] == value).sum() for value in values
        }


def test_each_window_shows_what_was_cleaned_and_what_will_be_sent(synced: Synced) -> None:
    cleaned = to_send = 0
    for window in synced.windows:
        shown = metadata(synced.instance, "normalized_contacts", window)["cleaned"]
        assert shown == synced.project.frame("normalized_contacts", window)["notes"].count()
        cleaned += shown
        shown = metadata(synced.instance, "dedup_matches", window)["contacts_to_send"]
        assert shown == synced.project.frame("dedup_matches", window)["request"].count()
        to_send += shown
    assert cleaned > 0
    [(sent,)] = synced.project.state("SELECT count(*) FROM audit")
    assert to_send == sent > 0


def test_each_window_shows_its_report(synced: Synced) -> None:
    for window in synced.windows:
        [row] = synced.project.frame("sync_report", window).to_dict("records")
        shown = metadata(synced.instance, "sync_report", window)
        numbers = ("read", *OUTCOMES, "requests", "writes", "seconds")
        assert {name: shown[name] for name in numbers} == {name: row[name] for name in numbers}
        assert row["read"] == sum(row[outcome] for outcome in OUTCOMES)


def test_windows_differ_and_an_empty_one_has_no_rows(synced: Synced) -> None:
    rows = [metadata(synced.instance, "crm_delta", window)["dagster/row_count"] for window in synced.windows]
    assert len(set(rows[:FILLED])) == FILLED
    assert min(rows[:FILLED]) > 0
    assert rows[FILLED:] == [0, 0]
    assert metadata(synced.instance, "sync_report", synced.windows[-1])["dagster/row_count"] == 1


def test_the_report_shows_how_the_sync_stands(synced: Synced) -> None:
    shown = metadata(synced.instance, "sync_report", synced.windows[0])
    assert shown["watermark"] == synced.windows[-1].end.timestamp()
    assert shown["contacts"] == synced.project.stats()["held"]["contacts"]
    assert shown["linked_records"] >= shown["contacts"]
    assert (shown["retry_queue"], shown["dead_letters"], shown["gaps"]) == (0, 0, 1)
    [unlisted] = shown["fields_not_in_the_registry"].records
    assert unlisted.data["field"] == "favourite_colour"
    assert str(unlisted.data["shape"]).startswith("text: ")


def test_delivery_shows_why_rows_were_held(synced: Synced) -> None:
    [reason] = metadata(synced.instance, "genesys_upserts", synced.windows[0])["held_because"].records
    assert "nothing identifies this person" in str(reason.data["reason"])
    assert reason.data["rows"] == 1


def test_every_check_speaks_for_all_windows_and_only_the_expected_ones_warn(synced: Synced) -> None:
    found = checks(synced.result)
    assert {key for key, one in found.items() if not one.passed} == {
        ("crm_delta", "fields_listed"),
        ("crm_delta", "windows_complete"),  # as the next
        ("sync_report", "keeps_up"),  # the sample is of last spring
    }
    assert all(one.severity is dg.AssetCheckSeverity.WARN for one in found.values() if not one.passed)
    for asset in ASSETS:
        contract = found[asset, "contract"]
        assert (contract.metadata["windows"].value, contract.metadata["broken"].value) == (5, 0)
    carried = synced.project.crm("SELECT count(favourite_colour) FROM contacts")[0][0]
    assert found["crm_delta", "fields_listed"].metadata["favourite_colour"].value == carried
    assert found["sync_report", "nothing_dead"].passed


def test_the_same_range_again_writes_nothing(synced: Synced) -> None:
    before = synced.project.stats()
    again = run(synced.instance, synced.project.span())
    after = synced.project.stats()
    assert again.success
    assert before["writes"] > 0
    assert (after["writes"], after["held"]) == (before["writes"], before["held"])
    for window in synced.windows:
        shown = metadata(synced.instance, "sync_report", window)
        assert (shown["writes"], shown["created"], shown["updated"]) == (0, 0, 0)


def test_one_window_runs_as_a_range_of_one(project: Project, instance: dg.DagsterInstance) -> None:
    result = run(instance, project.window(0))
    assert materialized(result) == {(asset, key_of(project.window(0))) for asset in ASSETS}
    assert metadata(instance, "crm_delta", project.window(0))["dagster/row_count"] > 0


def test_a_record_that_no_window_can_hold_is_reported(project: Project, instance: dg.DagsterInstance) -> None:
    project.crm("UPDATE contacts SET updated_at = 'yesterday' WHERE id = (SELECT min(id) FROM contacts)")
    found = checks(run(instance, project.span()))["crm_delta", "records_dated"]
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert found.metadata["undated"].value == 1


def test_held_deletes_warn_until_a_run_is_allowed_to_send_them(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(instance, project.span()).success
    project.crm("UPDATE contacts SET is_deleted = 1")
    monkeypatch.setenv("CONTACT_SYNC_DELIVERY__MAX_DELETES", "0")
    held = checks(run(instance, project.span()))["dedup_matches", "no_mass_delete"]
    assert not held.passed
    linked = project.state("SELECT count(contact) FROM contact_link")[0][0]
    assert held.metadata["deletes_held"].value >= linked  # a row in the overlap is held in two windows
    assert project.state("SELECT count(contact) FROM contact_link")[0][0] == linked
    allowed = run(instance, project.span(), allow_deletes=True)
    assert checks(allowed)["dedup_matches", "no_mass_delete"].passed
    assert project.stats()["held"]["contacts"] == 0

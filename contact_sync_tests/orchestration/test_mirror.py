"""The mirror in Dagster: what a scan shows, and how it fails."""

import dagster as dg
import pytest

from contact_sync.genesys import scan
from contact_sync_tests.orchestration.harness import failures, metadata, run, run_mirror
from contact_sync_tests.project import Project


def test_a_scan_shows_what_it_found(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "PAGE_SIZE", 10)
    assert run(instance, project.window(1)).success
    for _ in range(3):
        project.twin.store.contacts.create({"lastName": "Smith", "workEmail": "info@example.org"})
    contacts = project.stats()["held"]["contacts"]
    assert run_mirror(instance).success
    shown = metadata(instance, "genesys_contacts")
    assert (shown["contacts"], shown["held"]) == (contacts, contacts)
    assert shown["pages"] == -(-contacts // 10)
    assert shown["requests"] == shown["pages"] + 1
    assert shown["shared_email"] >= 1
    assert {shown[name] for name in ("merged", "gone", "missing", "resumed")} == {0}
    assert shown["seconds"] > 0
    [(held,)] = project.state("SELECT count(*) FROM genesys_mirror")
    assert held == contacts


def test_a_client_that_may_not_look_fails_in_one_line(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENESYS_CLIENT_SECRET", f"not {project.environment['GENESYS_CLIENT_SECRET']}")
    [line] = failures(run_mirror(instance)).values()
    assert line.endswith("check GENESYS_CLIENT_SECRET")

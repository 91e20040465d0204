"""The commands of the retry queue, as an operator types them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from contact_sync.contacts.schemas import OUTCOMES
from contact_sync_tests import test_cli
from contact_sync_tests.project import NOBODY, Project, opened_project
from contact_sync_tests.test_cli import ALL, FIRST, call, data, done, refused, words

wide_terminal = test_cli.wide_terminal

CANARY = "nameless@vwobble.example"
REFUSED = "validation.failed"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project whose organisation takes no contact without a name."""
    with opened_project(tmp_path, contacts=40, require_name=True) as opened:
        yield opened


@pytest.fixture
def dead(project: Project) -> list[str]:
    """The ids of two dead letters; everything else is delivered."""
    ids = project.people(2)
    for crm_id in ids:
        project.change(project.window(0), [crm_id], **dict(NOBODY) | {"email": f"{crm_id}{CANARY}"})
    assert data("run", *FIRST)["dead"] == 2
    return ids


def queue(project: Project) -> list[tuple[str, str, int]]:
    return project.state("SELECT crm_id, state, attempts FROM retry_queue ORDER BY crm_id")


def give_names(project: Project, ids: list[str]) -> None:
    for crm_id in ids:
        project.crm("UPDATE contacts SET first_name = 'Zyxquark', last_name = 'Vwobblestone' WHERE id = ?", crm_id)


def test_every_command_explains_itself() -> None:
    overview = done("retry", "--help")
    for command in ("list", "run", "replay", "discard"):
        assert f"\n  {command} " in overview
        assert done("retry", command, "--help").startswith(f"Usage: root retry {command} [OPTIONS]")


def test_a_list_of_nothing_leaves_nothing_behind(project: Project) -> None:
    before = sorted(path.name for path in project.home.iterdir())
    assert words(done("retry", "list")) == ["retry queue: 0 waiting, 0 deletes in their grace period, 0 dead"]
    listed = data("retry", "list")
    assert listed == {"waiting": 0, "deferred": 0, "dead": 0, "oldest": None, "next_due": None, "changes": []}
    assert sorted(path.name for path in project.home.iterdir()) == before


def test_the_list_shows_what_waits_and_why(dead: list[str]) -> None:
    title, head, *rows, summary = words(done("retry", "list"))
    assert (title, head) == ("retry queue", "record state attempts since next attempt why")
    assert summary == "0 waiting, 0 deletes in their grace period, 2 dead"
    assert [row.split()[:2] for row in rows] == [[crm_id, "dead"] for crm_id in dead]
    assert all(row.endswith(f"never {REFUSED}") for row in rows)
    listed = data("retry", "list", "--dead")
    assert [(one["crm_id"], one["state"], one["last_error"]) for one in listed["changes"]] == [
        (crm_id, "dead", REFUSED) for crm_id in dead
    ]
    assert (listed["waiting"], listed["dead"]) == (0, 2)
    assert len(data("retry", "list", "--limit", "1")["changes"]) == 1


def test_nothing_of_a_person_is_shown(dead: list[str]) -> None:
    shown = done("retry", "list") + done("retry", "list", "--json") + done("retry", "replay", *dead)
    shown += done("retry", "run") + done("retry", "run", "--json") + done("retry", "list")
    assert dead[0] in shown
    assert "vwobble" not in shown


def test_a_dead_letter_is_replayed_once_its_cause_is_gone(project: Project, dead: list[str]) -> None:
    requests = project.stats()["requests"]
    ran = data("retry", "run")
    assert ran == dict.fromkeys((*OUTCOMES, "requests", "sent_as_queued", "deletes_held"), 0)
    assert project.stats()["requests"] == requests
    assert data("retry", "replay", *dead) == {"replayed": dead}
    assert queue(project) == [(crm_id, "waiting", 0) for crm_id in dead]
    give_names(project, dead[:1])
    lines = words(done("retry", "run"))
    assert lines[:2] == ["retry queue", "2 read changes that were due"]
    assert f"1 dead {OUTCOMES['dead']}" in lines
    assert lines[-1] == "0 still wait, 0 deletes in their grace period"
    assert queue(project) == [(dead[1], "dead", 1)]
    give_names(project, dead)
    assert words(done("retry", "replay", dead[1])) == ["1 replayed"]
    ran = data("retry", "run")
    assert ran["created"] + ran["updated"] + ran["merged"] == 1
    assert queue(project) == []


def test_a_discarded_change_is_gone_and_the_reason_kept(project: Project, dead: list[str]) -> None:
    for reason in ([], ["--reason", ""], ["--reason", " "]):
        assert call("retry", "discard", dead[0], *reason).exit_code == 2
    assert len(queue(project)) == 2
    assert words(done("retry", "discard", dead[0], "--reason", "not a customer any more")) == ["1 discarded"]
    assert data("retry", "discard", dead[1], "--reason", "a test") == {"discarded": [dead[1]]}
    assert queue(project) == []
    kept = project.state("SELECT crm_id, result, reason FROM audit WHERE action = 'discard' ORDER BY id")
    assert kept == [(dead[0], "discarded", "not a customer any more"), (dead[1], "discarded", "a test")]


def test_an_id_that_is_not_on_the_queue_changes_nothing(project: Project, dead: list[str]) -> None:
    before = queue(project)
    for command in (["replay"], ["discard", "--reason", "a test"]):
        [line] = refused("retry", *command, dead[0], "typo", "typo", "another")
        assert line.endswith("on the retry queue: typo, another; see contact-sync retry list")
        assert queue(project) == before


def test_strict_tells_by_the_exit_code_that_something_waits(dead: list[str]) -> None:
    for command in ("list", "run"):
        assert call("retry", command).exit_code == 0
        strict = call("retry", command, "--strict", "--json")
        assert strict.exit_code == 1
        assert json.loads(strict.stdout)["dead"] == {"list": 2, "run": 0}[command]
    done("retry", "discard", *dead, "--reason", "a test")
    for command in ("list", "run"):
        assert call("retry", command, "--strict").exit_code == 0


def test_deletes_wait_and_too_many_at_once_wait_for_the_flag(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    data("run", *ALL)
    gone = project.people(3)
    project.change(project.window(3), gone, is_deleted=1)
    last = ("--from", "2026-03-02T09:30Z", "--to", "2026-03-02T10:00Z")
    assert data("run", *last)["queued"] == 3
    assert data("retry", "list")["deferred"] == 3
    [line] = refused("retry", "replay", gone[0])
    assert line.startswith(f"not waiting or dead on the retry queue: {gone[0]}; ")
    assert data("retry", "run")["queued"] == 3
    data("run", "--from", "2026-03-02T10:00Z", "--to", "2026-03-02T11:30Z")
    monkeypatch.setenv("CONTACT_SYNC_DELIVERY__MAX_DELETES", "2")
    lines = words(done("retry", "run"))
    assert lines[-2:] == [
        "3 deletes are too many at once: retry list says why",
        "0 still wait, 3 deletes in their grace period",
    ]
    assert "3 contacts would be removed, over the limit of 2 " in " ".join(words(done("retry", "list")))
    ran = data("retry", "run", "--allow-deletes")
    assert (ran["deleted"], ran["deletes_held"]) == (3, 0)
    assert queue(project) == []


@pytest.mark.usefixtures("project")
def test_settings_that_are_missing_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENESYS_CLIENT_SECRET")
    for command in (("list",), ("run",), ("replay", "a"), ("discard", "a", "--reason", "b")):
        assert refused("retry", *command) == ["GENESYS_CLIENT_SECRET is not set: Secret of that client"]


def test_a_genesys_that_refuses_fails(project: Project, dead: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    done("retry", "replay", *dead)
    monkeypatch.setenv("GENESYS_CLIENT_SECRET", "wr0ng")
    [line] = refused("retry", "run", code=3)
    assert line.endswith("check GENESYS_CLIENT_SECRET")
    assert queue(project) == [(crm_id, "waiting", 0) for crm_id in dead]

"""The commands that say who is who and why, as an operator types them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contact_sync_tests import test_cli
from contact_sync_tests.project import Project, opened_project
from contact_sync_tests.test_cli import FIRST, data, done, refused

wide_terminal = test_cli.wide_terminal

EVER = ("--since", "2026-01-01")
LINKED = "SELECT crm_id, contact FROM contact_link WHERE contact IS NOT NULL ORDER BY crm_id"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with opened_project(tmp_path, contacts=40) as opened:
        yield opened


@pytest.fixture
def person(project: Project) -> str:
    """The CRM id of a record that is delivered and carries names that nobody else has."""
    [crm_id] = project.people(1)
    project.change(project.window(0), [crm_id], first_name="Zyxquark", last_name="Vwobblestone")
    data("run", *FIRST)
    return crm_id


def test_a_life_is_told_without_names_unless_they_are_asked_for(person: str) -> None:
    told = done("explain", person, *EVER)
    assert told.startswith(f"record {person} of sample\n  is the Genesys contact ")
    assert "created; 201" in told
    assert "firstName" in told
    with_values = done("explain", person, *EVER, "--values")
    assert "Vwobblestone" not in told
    assert "Vwobblestone" in with_values


def test_a_life_as_json_has_the_same(person: str) -> None:
    told = data("explain", person, *EVER)
    [record] = told["records"]
    assert (record["crm_id"], record["windows"][0]["outcome"]) == (person, "created")
    assert "lastName" in record["writes"][0]["changes"]
    assert [one["contact"] for one in told["contacts"]] == [record["contact"]]
    [seen] = data("explain", record["contact"], *EVER, "--values")["records"]
    assert seen["fields"]["lastName"] == "Vwobblestone"


def test_windows_before_since_are_not_looked_through(person: str) -> None:
    [record] = data("explain", person)["records"]
    assert (record["windows"], len(record["writes"])) == ([], 1)


def test_a_stranger_is_refused_in_one_line(person: str) -> None:
    [line] = refused("explain", f"{person}x", *EVER)
    assert line.startswith("nothing is known of that")
    assert person not in line


def test_before_the_first_run_nothing_is_created(project: Project) -> None:
    before = sorted(path.name for path in project.home.iterdir())
    refused("explain", "a")
    assert sorted(path.name for path in project.home.iterdir()) == before


def test_other_rules_are_tried_and_change_nothing(project: Project, person: str) -> None:
    (project.home / "other.yaml").write_text("identity: {rules: [email]}", encoding="utf-8")
    before = project.state(LINKED)
    requests = project.stats()["requests"]
    told = data("identity", "simulate", "--registry", "other.yaml")
    assert told["today"]["records"] == told["then"]["records"] == len(before)
    assert told["today"]["contacts"] == len({contact for _, contact in before})
    assert told["then"]["people"] >= told["today"]["people"]
    text = done("identity", "simulate", "--registry", "other.yaml")
    assert "today's rules" in text
    assert "Vwobblestone" not in text
    assert project.state(LINKED) == before
    assert project.stats()["requests"] == requests
    assert person in {crm_id for crm_id, _ in before}


def test_a_wrong_rule_is_named_with_its_line(project: Project) -> None:
    (project.home / "other.yaml").write_text("identity:\n  rules: [email, shoe]\n", encoding="utf-8")
    [line] = refused("identity", "simulate", "--registry", "other.yaml")
    assert line.startswith("identity.rules.1 in other.yaml, line 2: ")

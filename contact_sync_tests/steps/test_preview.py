"""The dry run: it shows what a run then does, and what that costs, and leaves no trace."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from contact_sync.contacts.window import Frequency, Window
from contact_sync.simulator import sample_crm
from contact_sync.simulator.server import TwinServer
from contact_sync.steps import pipeline
from contact_sync.steps.deliver import deliver
from contact_sync_tests import contract
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.test_quiet import TABLES
from contact_sync_tests.steps.world import START, moment, settings_of, window

CONFIG = Path(__file__).parents[2] / "contact_sync.yaml"
ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}


def traces(sync: Sync) -> list[object]:
    files = sorted(str(one) for one in sync.folder.rglob("*.parquet"))
    return [sync.stats()["requests"], files, *(sync.table(name) for name in TABLES)]


def bulk_requests(sync: Sync) -> int:
    operations = sync.stats()["by_operation"].items()
    return sum(count for name, count in operations if "/bulk/" in name)


@pytest.fixture
def busy(sync: Sync) -> Sync:
    """A sync of two windows in which everything happens, the second one not yet delivered."""
    sync.crm.people(25, moment(0))
    sync.crm.put("a", moment(0), **ADA)
    sync.crm.put("old", moment(0), **(ADA | {"email": "old@example.org"}), account_id="acme")
    sync.sync(0)
    for number in range(12):
        sync.crm.delete(f"p{number}", moment(1))
    sync.crm.people(11, moment(1), first=30)
    sync.crm.put("b", moment(1), **ADA)
    sync.crm.put("p20", moment(1), job_title="Buyer")
    sync.crm.put("p21", moment(1))
    sync.crm.put("nobody", moment(1), first_name="Nobody")
    sync.crm.delete("old", moment(1))
    sync.crm.put("new", moment(1), **(ADA | {"email": "old@example.org"}), account_id="acme")
    return sync


def test_a_preview_leaves_no_trace(busy: Sync) -> None:
    before = traces(busy)
    assert [span for span, _ in pipeline.preview(busy.context, [window(1), window(2)])] == [window(1), window(2)]
    assert traces(busy) == before


def test_a_run_does_what_the_preview_said_for_what_it_said_it_costs(busy: Sync) -> None:
    ((_, plan),) = pipeline.preview(busy.context, [window(1)])
    assert set(plan["action"]) == {"create", "update", "unchanged", "delete", "merge", "hold"}
    sent = bulk_requests(busy)
    list(pipeline.sync(busy.context, [window(1)], "run"))
    assert bulk_requests(busy) - sent == pipeline.cost(busy.context, [plan]) == 2 + 1
    stored = busy.context.frames.read("dedup_matches", window(1))
    same = ["crm_id", "version", "action", "contact", "rule", "candidates", "reason", "request", "changes"]
    assert stored[same].equals(plan[same])
    ends = {"create": "created", "update": "updated", "delete": "deleted", "merge": "merged", "hold": "held"}
    upserts = busy.context.frames.read("genesys_upserts", window(1))
    done = upserts.set_index(["crm_id", "version"])["outcome"].to_dict()
    said = plan.set_index(["crm_id", "version"])["action"].map(lambda action: ends.get(action, action)).to_dict()
    assert done == said


def test_a_window_without_changes_costs_nothing_and_is_committed(sync: Sync) -> None:
    ((_, plan),) = pipeline.preview(sync.context, [window(0)])
    assert (len(plan), pipeline.cost(sync.context, [plan])) == (0, 0)
    before = sync.stats()["requests"]
    assert sync.sync(0) == {}
    assert sync.stats()["requests"] == before
    assert sync.committed() == [window(0)]


def sample_settings() -> dict[str, Any]:
    read = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    return {"crm": read["crm"], "registry": read["registry"]}


def test_the_sample_crm_is_planned_at_once_as_it_is_delivered_and_every_request_keeps_the_contract(
    tmp_path: Path, twin: TwinServer
) -> None:
    daily = Frequency.DAILY
    start = daily.floor(START)
    days = [Window(start + n * daily.length, start + (n + 1) * daily.length) for n in range(3)]
    sample_crm.create(tmp_path / "crm.db", contacts=400, start=days[0].start, end=days[1].end)
    values = settings_of(**sample_settings(), sync={"start": start, "frequency": daily})
    with Sync(tmp_path, twin, settings=values) as sync:
        sync.clock.now = days[2].end + timedelta(days=1)
        answers = Answers(sync.session)
        planned = [plan for _, plan in pipeline.preview(sync.context, days[:2])]
        for plan, delivered in zip(planned, pipeline.sync(sync.context, days[:2], "first"), strict=True):
            upserts = sync.context.frames.read("genesys_upserts", delivered.window)
            both = plan.merge(upserts, on=["crm_id", "version"], validate="one_to_one")
            assert len(both) == len(plan) == delivered.rows
            assert ((both["contact_x"].isna() == both["contact_y"].isna()) | ~both["accepted"]).all()
            assert (plan["action"] == "create").sum() == delivered.counts["created"]
            assert (plan["action"] == "merge").sum() == delivered.counts["merged"]
        sample_crm.change(tmp_path / "crm.db", start=days[2].start, end=days[2].end, seed=1)
        list(pipeline.sync(sync.context, days[2:], "second"))
        assert sync.writes(lambda: list(pipeline.sync(sync.context, days, "third"))) == 0
        assert sync.writes(lambda: list(deliver(sync.context, days[::-1], "fourth"))) == 0
        assert len(answers.bodies) > 40
        for method, path, body in answers.bodies:
            if path.startswith("/api/v2/"):
                contract.validate_request(method, path, body)

"""Custom fields, organisations and the registry's rules, from the CRM into the twin."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from contact_sync.genesys.errors import GenesysFatalError
from contact_sync.simulator.server import TwinServer
from contact_sync.steps.fields import unlisted_fields
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import REGISTRY, moment, settings_of, window

ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}
LINES: list[dict[str, Any]] = [
    *({"crm": crm, "genesys": genesys} for crm, genesys in REGISTRY.items()),
    {"crm": "account_name", "genesys": "externalOrganization"},
    {"crm": "score", "genesys": "customFields.lead_score", "type": "integer"},
    {"crm": "labels", "genesys": "customFields.labels", "type": "tag"},
]
SCORE = "customFields.lead_score_integer"
ENRICH = "POST /api/v2/externalcontacts/bulk/organizations/enrich"


@pytest.fixture
def sync(twin: TwinServer, tmp_path: Path) -> Iterator[Sync]:
    with Sync(tmp_path / "home", twin) as opened:
        for name in ("account_name", "score", "labels"):
            opened.crm.execute(f"ALTER TABLE contacts ADD COLUMN {name}")
        use(opened, LINES)
        yield opened


def use(sync: Sync, lines: list[dict[str, Any]], **registry: object) -> None:
    """Change the registry."""
    sync.settings = settings_of(registry={"fields": lines, **registry})
    sync.reopen()


def rules(lines: list[dict[str, Any]], target: str, **more: object) -> list[dict[str, Any]]:
    return [line | more if line["genesys"] == target else line for line in lines]


def organizations(sync: Sync) -> dict[str, str]:
    """Return the names of the twin's organisations by id."""
    return {one: entity["name"] for one, entity in sync.twin.store.organizations.store}


def schema(sync: Sync) -> dict[str, Any]:
    (found,) = sync.twin.store.contact_schemas.listing()["entities"]
    return dict(found)


def test_everything_that_the_mission_lists_arrives(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, account_id="A1", account_name="Engines", score=42, labels="vip;fair")
    assert sync.sync(0) == {"created": 1}
    (organization,) = organizations(sync)
    assert organizations(sync) == {organization: "Engines"}
    assert sync.contact("a").fields == {
        "firstName": "Ada",
        "lastName": "Lovelace",
        "workEmail": "ada@example.org",
        "externalOrganization": organization,
        SCORE: "42",
        "customFields.labels_tag": '["vip", "fair"]',
    }
    _, stored = sync.twin.store.contacts.fetch(sync.contact("a").id)
    assert stored["customFields"] == {"lead_score_integer": 42, "labels_tag": ["vip", "fair"]}
    assert stored["schema"] == {"id": schema(sync)["id"], "version": 1}
    assert_accounted(sync, 0)


def test_nothing_is_sent_when_nothing_changed(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, account_id="A1", account_name="Engines", score=42, labels="vip")
    sync.sync(0)
    sync.crm.put("a", moment(1), score="42.0", labels=" vip;vip")
    assert sync.writes(lambda: sync.sync(1)) == 0
    sync.reopen()
    assert sync.writes(lambda: sync.sync(0, 1)) == 0


def test_custom_fields_change_and_are_cleared(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, score=1, labels="vip")
    sync.sync(0)
    sync.crm.put("a", moment(1), score=2)
    assert sync.sync(1) == {"updated": 1}
    assert sync.contact("a").fields[SCORE] == "2"
    sync.crm.put("a", moment(2), score=None, labels=None)
    assert sync.sync(2) == {"updated": 1}
    assert not {SCORE, "customFields.labels_tag"} & sync.contact("a").fields.keys()


def test_a_contact_leaves_its_organisation(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, account_id="A1", account_name="Engines")
    sync.sync(0)
    sync.crm.put("a", moment(1), account_id=None)
    sync.sync(1)
    assert "externalOrganization" not in sync.contact("a").fields
    assert list(organizations(sync).values()) == ["Engines"]


def test_the_people_of_an_account_share_an_organisation_that_is_asked_for_once(sync: Sync) -> None:
    before = sync.stats()["by_operation"].get(ENRICH, 0)
    sync.crm.people(25, moment(0), account_id="A1", account_name="Engines")
    sync.sync(0)
    assert len(organizations(sync)) == 1
    sync.reopen()
    sync.crm.people(25, moment(1), city="Berlin")
    sync.sync(1)
    assert sync.stats()["by_operation"][ENRICH] == before + 1


def test_an_account_that_is_renamed_stays_the_organisation_that_it_is(sync: Sync) -> None:
    sync.crm.people(3, moment(0), account_id="A1", account_name="Engines")
    sync.sync(0)
    before = organizations(sync)
    sync.crm.put("p0", moment(1, 11), account_name="Old Engines")
    sync.crm.put("p1", moment(1, 12), account_name="Difference Engines")
    sync.sync(1)
    assert organizations(sync) == dict.fromkeys(before, "Difference Engines")


def test_an_organisation_that_is_not_remembered_is_found_again(sync: Sync) -> None:
    sync.crm.people(3, moment(0), account_id="A1", account_name="Engines")
    sync.sync(0)
    before = organizations(sync)
    with sync.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM external_organization")
    sync.crm.put("p0", moment(1), city="Berlin")
    sync.sync(1)
    assert organizations(sync) == before


class LosesOrganizations(HTTPAdapter):
    """Lets the first answer about organisations get lost on its way back."""

    lost = False

    def send(self, request: requests.PreparedRequest, *args: object, **options: object) -> requests.Response:
        response = super().send(request, *args, **options)  # type: ignore[arg-type]
        if "/bulk/organizations/enrich" in request.path_url and not self.lost:
            self.lost = True
            response.close()
            raise requests.ConnectionError
        return response


def test_lost_answers_make_no_second_organisation(sync: Sync) -> None:
    sync.session.mount("http://", LosesOrganizations())
    for number in range(25):
        account = {"account_id": f"A{number % 12}", "account_name": f"Company {number % 12}"}
        sync.crm.people(1, moment(0), first=number, score=number, **account)
    assert sync.sync(0) == {"created": 25}
    assert sorted(organizations(sync).values()) == sorted(f"Company {number}" for number in range(12))
    assert schema(sync)["version"] == 1


def test_contacts_of_a_refused_organisation_are_dead_and_others_go_on(sync: Sync) -> None:
    sync.crm.people(2, moment(0))
    sync.crm.put("a", moment(0), **ADA, account_id="A1", account_name="Engines")
    refusing = Refusing(sync)
    assert sync.sync(0) == {"created": 2, "dead": 1}
    assert sync.queue()["a"]["last_error"] == "externalOrganization: validation.failed"
    refusing.stop()
    assert_accounted(sync, 0)


class Refusing(Answers):
    """Refuses every organisation, one by one."""

    def __init__(self, sync: Sync) -> None:
        super().__init__(sync.session)
        self._on = True

    def stop(self) -> None:
        self._on = False

    def send(self, request: Any, *args: object, **options: object) -> Any:  # noqa: ANN401 -- requests' own
        if self._on and "/bulk/organizations/enrich" in request.path_url:
            request.prepare_body(None, None, json={"entities": [{"id": "0", "action": "Nothing"}]})
        return super().send(request, *args, **options)


def test_a_line_that_is_added_extends_the_contact_type(sync: Sync) -> None:
    use(sync, LINES[:-1])
    sync.crm.put("a", moment(0), **ADA, score=1, labels="vip")
    sync.sync(0)
    use(sync, LINES)
    sync.crm.put("a", moment(1), score=2)
    sync.sync(1)
    assert schema(sync)["version"] == 2
    assert sync.contact("a").fields["customFields.labels_tag"] == '["vip"]'


def test_a_contact_type_without_room_stops_before_any_contact(sync: Sync) -> None:
    full = {f"x{one}_text": {"allOf": [{"$ref": "#/definitions/text"}]} for one in range(24)}
    document = {"title": "contact_sync", "properties": full}
    sync.twin.store.contact_schemas.create({"version": 1, "jsonSchema": document})
    sync.crm.put("a", moment(0), **ADA, score=1)
    with pytest.raises(GenesysFatalError, match="would have 26 fields, and Genesys takes 25"):
        sync.sync(0)
    assert (sync.contacts(), sync.committed()) == ([], [])


def test_a_value_that_genesys_would_refuse_is_held_here(sync: Sync) -> None:
    sync.crm.people(2, moment(0), score=1)
    sync.crm.put("a", moment(0), **ADA, score="high")
    assert sync.sync(0) == {"created": 2, "held": 1}
    plan = sync.context.frames.read("dedup_matches", window(0)).set_index("crm_id")
    assert plan.loc["a", "reason"] == "customFields.lead_score: it is not a whole number"


def test_what_the_crm_empties_may_be_kept(sync: Sync) -> None:
    use(sync, rules(rules(LINES, "title", null="keep"), "customFields.lead_score", null="keep"))
    sync.crm.put("a", moment(0), **ADA, job_title="Countess", score=7)
    sync.sync(0)
    sync.crm.put("a", moment(1), job_title=None, score=None)
    assert sync.sync(1) == {"unchanged": 1}
    sync.crm.put("a", moment(2), city="London")
    sync.sync(2)
    fields = sync.contact("a").fields
    assert (fields["title"], fields[SCORE], fields["address.city"]) == ("Countess", "7", "London")
    sync.crm.put("a", moment(3), job_title="Analyst")
    sync.sync(3)
    assert sync.contact("a").fields["title"] == "Analyst"


def test_what_genesys_owns_is_only_filled(sync: Sync) -> None:
    use(sync, rules(LINES, "title", owner="genesys"))
    sync.crm.put("a", moment(0), **ADA, job_title="Countess")
    sync.sync(0)
    assert sync.contact("a").fields["title"] == "Countess"
    contact_id, stored = sync.twin.store.contacts.fetch(sync.contact("a").id)
    sync.twin.store.contacts.store.put(contact_id, stored | {"title": "Pioneer"})
    sync.crm.put("a", moment(1), job_title="Analyst", city="London")
    sync.sync(1)
    sync.crm.put("a", moment(2), job_title=None, city="Paris")
    sync.sync(2)
    fields = sync.contact("a").fields
    assert (fields["title"], fields["address.city"]) == ("Pioneer", "Paris")


def test_two_records_of_a_person_make_one_contact_with_the_newest_of_each_custom_field(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, score=1, labels="vip", account_id="A1", account_name="Engines")
    sync.crm.put("b", moment(1), **ADA, score=2)
    sync.sync(0, 1)
    (contact,) = sync.contacts()
    assert contact.records == {"a", "b"}
    assert (contact.fields[SCORE], contact.fields["customFields.labels_tag"]) == ("2", '["vip"]')


def test_a_field_that_nobody_listed_is_told_with_its_shape_until_it_is_listed(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, shoe_size="Ultramarin 42")
    sync.sync(0)
    (field,) = unlisted_fields(sync.context)
    assert (field["field"], field["records"]) == ("shoe_size", 1)
    assert field["shape"] == "text: 10 letters, 2 digits, 1 space"
    with closing(sqlite3.connect(sync.folder / "state.db")) as connection:
        assert not [line for line in connection.iterdump() if "Ultramarin" in line]
    use(sync, LINES, ignored=["shoe_size"])
    assert unlisted_fields(sync.context) == []

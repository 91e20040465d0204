import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from contact_sync.connections import Connections, CrmConnections, load_connections
from contact_sync.contacts.window import Frequency
from contact_sync.setting_groups import Crm
from contact_sync.settings import ConfigurationError, Settings, load_settings

SECRET = "s3cret-of-somebody"
MINIMAL: dict[str, Any] = {
    "crm": {"table": {"name": "contacts", "id": "id", "modified_at": "updated_at"}},
    "sync": {"start": "2026-01-31"},
    "registry": {"fields": [{"crm": "email", "genesys": "workEmail"}]},
}
ENVIRONMENT = {
    "CONTACT_SYNC_CRM_URL": f"postgresql+psycopg://user:{SECRET}@host/crm",
    "GENESYS_CLIENT_ID": "client",
    "GENESYS_CLIENT_SECRET": SECRET,
}
SALESFORCE = {"url": "https://acme.my.salesforce.com"}
SQL = Crm.model_validate(MINIMAL["crm"])
OF_OTHER_CRMS = sorted(str(one.validation_alias) for one in CrmConnections.model_fields.values())
OPTIONAL = ("CONTACT_SYNC_STATE_URL", "GENESYS_REGION", "GENESYS_ORGANIZATION_ID", "GENESYS_BASE_URL")
Write = Callable[[str | bytes], Path]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*ENVIRONMENT, *OPTIONAL, *OF_OTHER_CRMS, "CONTACT_SYNC_CONFIG"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write the settings file and make it the one that is read."""
    path = tmp_path / "contact_sync.yaml"
    monkeypatch.setenv("CONTACT_SYNC_CONFIG", str(path))

    def written(content: str | bytes) -> Path:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def with_(section: str, **values: object) -> str:
    return yaml.safe_dump(MINIMAL | {section: {**MINIMAL.get(section, {}), **values}})


def refusal(load: Callable[[], object]) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        load()
    assert refused.value.__cause__ is None
    assert SECRET not in repr(refused.value)
    return str(refused.value).splitlines()


# --- the file


def test_the_shortest_file_is_filled_with_defaults(write: Write) -> None:
    write(yaml.safe_dump(MINIMAL))
    settings = load_settings()
    assert settings.crm.name == "crm"
    assert settings.sync.frequency is Frequency.THIRTY_MINUTES
    assert (settings.sync.settle, settings.sync.overlap) == (timedelta(minutes=2), timedelta(minutes=10))
    assert settings.registry.ignored == ()
    assert settings.delivery.requests_per_minute == 300
    assert settings.frames == ".contact_sync/frames"


def test_the_file_of_the_project_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent)
    settings = load_settings()
    assert {"first_name", "last_name", "email"} <= set(settings.registry.crm_fields)
    assert not set(settings.registry.ignored) & set(settings.registry.crm_fields)


@pytest.mark.parametrize(
    ("start", "instant"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T06:40", datetime(2026, 1, 31, 6, 40, tzinfo=UTC)),
        ("2026-01-31T06:40:00Z", datetime(2026, 1, 31, 6, 40, tzinfo=UTC)),
        ("2026-01-31 06:40:00+01:00", datetime(2026, 1, 31, 5, 40, tzinfo=UTC)),
    ],
)
def test_a_start_is_utc_unless_it_says_otherwise(write: Write, start: str, instant: datetime) -> None:
    text = yaml.safe_dump(MINIMAL)
    for quoted in (start, f"'{start}'"):  # YAML makes a date or a time of what is not quoted
        write(text.replace("'2026-01-31'", quoted))
        assert load_settings().sync.start == instant


def test_the_first_window_starts_on_a_boundary(write: Write) -> None:
    write(with_("sync", start="2026-01-31T06:40Z"))
    assert load_settings().sync.first_window_start == datetime(2026, 1, 31, 6, 30, tzinfo=UTC)


def test_the_environment_comes_before_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(with_("sync", frequency="60min", settle_seconds=7))
    monkeypatch.setenv("CONTACT_SYNC_SYNC__FREQUENCY", "5min")
    monkeypatch.setenv("CONTACT_SYNC_FRAMES", "s3://bucket/frames")
    monkeypatch.setenv("CONTACT_SYNC_REGISTRY__IGNORED", '["tags"]')
    settings = load_settings()
    assert (settings.sync.frequency, settings.sync.settle_seconds) == (Frequency.FIVE_MINUTES, 7)
    assert settings.frames == "s3://bucket/frames"
    assert settings.registry.ignored == ("tags",)


def test_regions_and_organisations_come_from_the_file_and_the_environment(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(with_("genesys", organizations={"6F1C-A": "EU-Central-1"}))
    assert load_settings().genesys.organizations == {"6f1c-a": "eu-central-1"}
    monkeypatch.setenv("CONTACT_SYNC_GENESYS__REGIONS", '{"af-south-1": "afs1.pure.cloud"}')
    settings = load_settings()
    assert settings.genesys.known_regions["af-south-1"] == "afs1.pure.cloud"
    assert settings.genesys.organizations == {"6f1c-a": "eu-central-1"}


def test_an_empty_variable_is_no_setting(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(with_("sync", frequency="60min"))
    monkeypatch.setenv("CONTACT_SYNC_SYNC__FREQUENCY", "")
    monkeypatch.setenv("CONTACT_SYNC_FRAMES", "")
    assert load_settings().sync.frequency is Frequency.HOURLY
    assert load_settings().frames == ".contact_sync/frames"


def test_a_missing_file_says_where_it_was_sought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected = "there is no settings file {}: run from the project's folder or set CONTACT_SYNC_CONFIG"
    assert refusal(load_settings) == [expected.format("contact_sync.yaml")]
    monkeypatch.setenv("CONTACT_SYNC_CONFIG", str(tmp_path))
    assert refusal(load_settings) == [expected.format(tmp_path)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("crm:\n  name: [1\nsync: {", "is not valid YAML: see line 3"),
        ("crm: a: b", "is not valid YAML: see line 1"),
        ("crm:\n\tname: a", "is not valid YAML: see line 2"),
        ("a: \x00", "is not valid YAML"),
        ("- crm\n- sync", "is not a YAML mapping in UTF-8"),
        (SECRET, "is not a YAML mapping in UTF-8"),
        ("7", "is not a YAML mapping in UTF-8"),
        ("crm: é".encode("latin-1"), "is not a YAML mapping in UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(write: Write, content: str | bytes, says: str) -> None:
    path = write(content)
    assert refusal(load_settings) == [f"{path} {says}"]


def test_an_empty_file_lists_what_is_missing(write: Write) -> None:
    path = write("")
    assert sorted(refusal(load_settings)) == [
        f"{name} is not set in {path}" for name in ("crm", "registry", "sync")
    ]


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (
            with_("sync", frequency="7min"),
            "sync.frequency",
            "should be '5min', '15min', '30min', '60min' or 'daily'",
        ),
        (with_("sync", start="yesterday"), "sync.start", "write a date such as 2026-01-31"),
        (with_("sync", settle_seconds=-1), "sync.settle_seconds", "greater than or equal to 0"),
        (with_("sync", settle_seconds=SECRET), "sync.settle_seconds", "valid integer"),
        (with_("sync", max_held_share=0), "sync.max_held_share", "greater than 0"),
        (with_("sync", colour=SECRET), "sync.colour", "Extra inputs are not permitted"),
        (with_("colour"), "colour", "Extra inputs are not permitted"),
        (with_("crm", name="Sales Force"), "crm.name", "should match pattern"),
        (with_("crm", page_size=0), "crm.page_size", "greater than or equal to 1"),
        (with_("crm", table={"name": "a; DROP"}), "crm.table.name", "should match pattern"),
        (with_("crm", salesforce=SALESFORCE), "crm", "set exactly one of table, salesforce and dynamics"),
        (with_("crm", table=None), "crm", "set exactly one of table, salesforce and dynamics"),
        (
            with_("crm", salesforce={"url": "http://acme.my.salesforce.com"}),
            "crm.salesforce.url",
            "has to be https",
        ),
        (with_("crm", salesforce={"url": "https://evil.example"}), "crm.salesforce.url", "My Domain"),
        (with_("crm", salesforce={"url": "https://u:p@acme.my.salesforce.com"}), "crm.salesforce.url", "such as"),
        (with_("crm", salesforce={"url": "https://login.salesforce.com"}), "crm.salesforce.url", "My Domain"),
        (with_("crm", salesforce=SALESFORCE | {"object": "Contact; X"}), "crm.salesforce.object", "match pattern"),
        (with_("genesys", regions={"new": "evil.example/path"}), "genesys.regions.new", "should match pattern"),
        (with_("genesys", organizations=["a"]), "genesys.organizations", "valid dictionary"),
        (with_("identity", rules=["email", "email"]), "identity", "a rule is listed twice: email, email"),
        (with_("identity", rules=["fax"]), "identity.rules.0", "'email', 'phone' or 'name'"),
        (with_("identity", shared_threshold=1), "identity.shared_threshold", "greater than or equal to 2"),
        (with_("delivery", requests_per_minute=0), "delivery.requests_per_minute", "greater than or equal to 1"),
        (with_("registry", fields=[{"crm": "a", "genesys": "b"}]), "registry.fields.0.genesys", "'b' is no field"),
        (with_("registry", default_region="ZZ"), "registry.default_region", "'ZZ' is no ISO 3166 country"),
        (with_("registry", ignored="tags"), "registry.ignored", "valid tuple"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(write: Write, content: str, name: str, says: str) -> None:
    path = write(content)
    (line,) = (
        line for line in refusal(load_settings) if re.match(rf"{re.escape(name)} in {path}(, line \d+)?: ", line)
    )
    assert says in line


def test_each_complaint_has_its_line(write: Write) -> None:
    path = write(yaml.safe_dump(MINIMAL | {"sync": {"settle_seconds": -1}, "crm": {}}))
    assert sorted(refusal(load_settings)) == [
        f"crm in {path}, line 1: set exactly one of table, salesforce and dynamics",
        f"sync.settle_seconds in {path}, line 7: Input should be greater than or equal to 0",
        f"sync.start is not set in {path}, line 6",
    ]


REGISTRY = """\
crm: {table: {name: contacts, id: id, modified_at: updated_at}}
sync: {start: 2026-01-31}
registry:
  fields:
    - {crm: email, genesys: workEmail}
    - crm: score
      genesys: customFields.score
"""


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", "registry.fields.1.type in {}, line 6: customFields.score needs a type"),
        ("      type: money\n", "registry.fields.1.type in {}, line 8: Input should be 'text'"),
        ("      type: text\n      color: red\n", "registry.fields.1.color in {}, line 9: Extra inputs"),
        (
            "      type: integer\n    - {crm: b, genesys: workEmail}\n",
            "registry.fields.2 in {}, line 9: workEmail is",
        ),
        (
            "      type: integer\n  preset: sap\n",
            "registry in {}, line 3: there is no preset 'sap': use one of dynamics",
        ),
        (
            "      type: integer\n  redact_patterns: {{staff: '('}}\n",
            "registry.redact_patterns.staff in {}, line 9: staff",
        ),
    ],
)
def test_what_is_wrong_with_the_registry_is_told_with_its_line(write: Write, lines: str, says: str) -> None:
    path = write(REGISTRY + lines.replace("{{", "{").replace("}}", "}"))
    (line,) = refusal(load_settings)
    assert line.startswith(says.format(path))


@pytest.mark.parametrize("name", ["salesforce", "dynamics", "sql"])
def test_a_preset_needs_no_lines(write: Write, name: str) -> None:
    write(yaml.safe_dump(MINIMAL | {"registry": {"preset": name}}))
    registry = load_settings().registry
    assert {"account", "externalOrganization", "firstName", "lastName", "workEmail", "workPhone"} <= {
        rule.field for rule in registry.fields
    }
    assert not set(registry.crm_fields) & set(registry.ignored)


def test_lines_of_the_file_go_before_those_of_the_preset(write: Write) -> None:
    lines = [{"crm": "mail", "genesys": "workEmail"}, {"crm": "created_at", "genesys": "title"}]
    write(
        yaml.safe_dump(MINIMAL | {"registry": {"preset": "sql", "fields": lines, "ignored": ["tags", "street"]}})
    )
    registry = load_settings().registry
    filled = {rule.field: rule.crm for rule in registry.fields}
    assert registry.crm_fields[:2] == ("mail", "created_at")
    assert (filled["workEmail"], filled["title"], filled["workPhone"]) == ("mail", "created_at", "work_phone")
    assert not {"customFields.tags_tag", "address.address1"} & filled.keys()
    assert registry.ignored == ("tags", "street")


@pytest.mark.parametrize("name", ["CONTACT_SYNC_SYNC", "CONTACT_SYNC_REGISTRY__IGNORED"])
def test_a_group_in_the_environment_that_is_no_json_is_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write(yaml.safe_dump(MINIMAL))
    monkeypatch.setenv(name, f"{{{SECRET}")
    (line,) = refusal(load_settings)
    assert line.startswith("environment variables CONTACT_SYNC_*: ")
    assert line.endswith("a list or group of settings is written as JSON")


def test_settings_do_not_change(write: Write) -> None:
    write(yaml.safe_dump(MINIMAL))
    settings: Settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.frames = "elsewhere"  # type: ignore[misc]


# --- addresses and secrets


@pytest.fixture
def set_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("set_environment")
def test_connections_come_from_the_environment() -> None:
    connections = load_connections(SQL)
    assert connections.text("crm_url") == ENVIRONMENT["CONTACT_SYNC_CRM_URL"]
    assert connections.genesys_client_secret.get_secret_value() == SECRET
    assert connections.state_url.get_secret_value() == "sqlite:///.contact_sync/state.db"
    assert (connections.genesys_region, connections.genesys_base_url) == (None, None)


@pytest.mark.usefixtures("set_environment")
def test_no_secret_shows() -> None:
    connections: Connections = load_connections(state_url=f"postgresql+psycopg://user:{SECRET}@host/state")
    assert (
        SECRET not in f"{connections} {connections!r} {connections.model_dump()} {connections.model_dump_json()}"
    )


@pytest.mark.usefixtures("set_environment")
def test_what_is_known_already_comes_first_and_what_is_empty_does_not_count() -> None:
    connections = load_connections(genesys_client_id="another", genesys_region=None, genesys_client_secret="")
    assert connections.genesys_client_id == "another"
    assert connections.genesys_client_secret.get_secret_value() == SECRET


def test_each_missing_variable_is_named_with_what_it_is() -> None:
    assert refusal(lambda: load_connections(SQL)) == [
        (
            "CONTACT_SYNC_CRM_URL is not set: SQLAlchemy URL of the CRM, its driver named, such as "
            "postgresql+psycopg://user@host/crm"
        ),
        "GENESYS_CLIENT_ID is not set: Id of an OAuth client of the kind Client Credentials",
        "GENESYS_CLIENT_SECRET is not set: Secret of that client",
    ]


@pytest.mark.usefixtures("set_environment")
@pytest.mark.parametrize("name", ENVIRONMENT)
def test_an_empty_variable_is_a_missing_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "")
    (line,) = refusal(lambda: load_connections(SQL))
    assert line.startswith(f"{name} is not set: ")


@pytest.mark.usefixtures("set_environment")
def test_an_empty_optional_variable_leaves_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OPTIONAL:
        monkeypatch.setenv(name, "")
    connections = load_connections(SQL)
    assert connections.state_url.get_secret_value() == "sqlite:///.contact_sync/state.db"
    assert (connections.genesys_region, connections.genesys_base_url) == (None, None)
    assert connections.genesys_organization_id is None


@pytest.mark.usefixtures("set_environment")
@pytest.mark.parametrize(
    ("crm", "needed"),
    [
        ({"salesforce": SALESFORCE}, ["SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET"]),
        (
            {"salesforce": SALESFORCE | {"login": "jwt_bearer"}},
            ["SALESFORCE_CLIENT_ID", "SALESFORCE_USERNAME", "SALESFORCE_PRIVATE_KEY"],
        ),
        (
            {"dynamics": {"url": "https://acme.crm4.dynamics.com"}},
            ["DYNAMICS_TENANT_ID", "DYNAMICS_CLIENT_ID", "DYNAMICS_CLIENT_SECRET"],
        ),
        (MINIMAL["crm"], ["CONTACT_SYNC_CRM_URL"]),
    ],
)
def test_each_kind_of_crm_needs_its_own_variables(
    monkeypatch: pytest.MonkeyPatch, crm: dict[str, Any], needed: list[str]
) -> None:
    monkeypatch.delenv("CONTACT_SYNC_CRM_URL")
    kind = Crm.model_validate(crm)
    missing = refusal(lambda: load_connections(kind))
    assert [line.partition(" is not set: ")[0] for line in missing] == needed
    for name in needed:
        monkeypatch.setenv(name, SECRET)
    connections = load_connections(kind)
    assert {connections.text(name) for name in kind.kind.connections} == {SECRET}


@pytest.mark.parametrize(
    ("crm", "technology"),
    [
        (MINIMAL["crm"], "sql"),
        ({"salesforce": SALESFORCE}, "salesforce"),
        ({"dynamics": {"url": "https://acme.crm4.dynamics.com"}}, "dynamics"),
    ],
)
def test_the_ui_is_told_which_kind_of_crm_it_is(crm: dict[str, Any], technology: str) -> None:
    assert Crm.model_validate(crm).technology == technology

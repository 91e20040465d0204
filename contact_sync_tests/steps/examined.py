"""What the tests of the doctor share: a project whose client may do just enough, its CRM, and what is found."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources

import pytest
import yaml

from contact_sync.genesys.permissions import NEEDED, NEEDED_FOR_CUSTOM_FIELDS, NEEDED_FOR_ORGANIZATIONS
from contact_sync.steps.diagnosis import Check
from contact_sync.steps.doctor import examine
from contact_sync_tests.project import CLIENT, Project

NAMES = [one.name for one in (*NEEDED, *NEEDED_FOR_CUSTOM_FIELDS, *NEEDED_FOR_ORGANIZATIONS)]
LEAST = {CLIENT: frozenset(NAMES)}


def now() -> datetime:
    return datetime.now(UTC)


def read_from(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    settings: Mapping[str, object],
    environment: Mapping[str, str],
) -> None:
    """Let the project read from a CRM of another kind, as the sample settings for it do."""
    sample = resources.files("contact_sync.simulator").joinpath(f"sample_{kind}.yaml")
    configured = yaml.safe_load(sample.read_text(encoding="utf-8"))
    configured["crm"][kind] = settings
    configured["sync"] = {"start": project.start.isoformat()}
    (project.home / "contact_sync.yaml").write_text(yaml.safe_dump(configured), encoding="utf-8")
    monkeypatch.delenv("CONTACT_SYNC_CRM_URL")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def found(clock: Callable[[], datetime] = now) -> list[Check]:
    return list(examine(clock))


def verdicts(checks: Sequence[Check], verdict: str) -> list[str]:
    """Return the names of the checks that end so, each once."""
    return list(dict.fromkeys(check.name for check in checks if check.verdict == verdict))


def says(checks: Sequence[Check], name: str) -> str:
    return "\n".join(check.says for check in checks if check.name == name)


def the_one_failure(checks: Sequence[Check]) -> Check:
    [failed] = [check for check in checks if check.verdict == "fail"]
    return failed

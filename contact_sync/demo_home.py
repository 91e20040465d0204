"""The folder of the demo, and the environment in which its lineage runs.

What belongs here: what is written before anything runs, and the variables that lead to it.
"""

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from contact_sync.contacts.window import Frequency, Window
from contact_sync.demo_crm import CrmKind, SampleCrm, create
from contact_sync.settings import CONFIG_VARIABLE, ConfigurationError
from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings

FREQUENCY = Frequency.THIRTY_MINUTES
TWIN = TwinSettings(requests_per_minute=100_000)
MARK = "environment"
"""The file that tells a demo's folder from others, and leads back to the demo."""

_DAGSTER_YAML = """\
telemetry: {enabled: false}
nux: {enabled: false}
concurrency: {pools: {granularity: op, default_limit: 1}}
run_monitoring: {enabled: true, free_slots_after_run_end_seconds: 60}
python_logs: {managed_python_loggers: [contact_sync], python_log_level: INFO}
"""
_WORKSPACE_YAML = """\
load_from:
  - python_module: {module_name: contact_sync.definitions, location_name: contact_sync}
"""


def prepare(home: Path, contacts: int, history: Window, crm: CrmKind = CrmKind.SQL) -> None:
    """Make the folder of the demo anew: sample CRM, settings, Dagster's own folder."""
    if home.exists():
        if any(home.iterdir()) and not is_demo(home):
            raise ConfigurationError(f"{home} holds something that is no demo: choose another folder with --home")
        shutil.rmtree(home)
    (home / "dagster").mkdir(mode=0o700, parents=True)
    home.chmod(0o700)
    # Written first: a demo that is interrupted from here on can be replaced by the next.
    _write_environment(home, _variables(home, history.start))
    (home / "dagster" / "dagster.yaml").write_text(_DAGSTER_YAML)
    (home / "workspace.yaml").write_text(_WORKSPACE_YAML)
    create(home, crm, contacts, history)


def is_demo(home: Path) -> bool:
    """Tell whether the folder is ours to replace: `environment` is also what others call a file."""
    mark = home / MARK
    return mark.is_file() and mark.read_bytes().startswith(f"{CONFIG_VARIABLE}=".encode())


def _variables(home: Path, start: datetime) -> dict[str, str]:
    folder = home.resolve()
    client, secret = next(iter(TWIN.clients.items()))
    return {
        CONFIG_VARIABLE: f"{folder}/contact_sync.yaml",
        "CONTACT_SYNC_SYNC__START": start.isoformat(),
        "CONTACT_SYNC_SYNC__FREQUENCY": FREQUENCY.value,
        "CONTACT_SYNC_STATE_URL": f"sqlite:///{folder}/state.db",
        "CONTACT_SYNC_FRAMES": f"{folder}/frames",
        "GENESYS_CLIENT_ID": client,
        "GENESYS_CLIENT_SECRET": secret,
        "GENESYS_BASE_URL": "http://127.0.0.1:8080",
        "DAGSTER_HOME": f"{folder}/dagster",
    }


def _write_environment(home: Path, variables: Mapping[str, str]) -> None:
    (home / MARK).write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()))


@contextmanager
def environment(home: Path, twin: TwinServer, crm: SampleCrm) -> Iterator[None]:
    """Put the demo's settings into the environment, and take them out again."""
    words = shlex.split((home / MARK).read_text())
    variables = {**dict(word.split("=", 1) for word in words), **crm.environment}
    _write_environment(home, variables)
    variables["GENESYS_BASE_URL"] = twin.base_url
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

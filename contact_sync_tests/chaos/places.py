"""The places where a process dies: right before and right after all that it does to files, requests and tables.

What belongs here: standing at the product's functions and telling who passes. Dying is for whoever listens.
"""

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from contact_sync.genesys.wire import Wire
from contact_sync.state import bulk, links, retries
from contact_sync.state.frames import FrameWriter
from contact_sync.state.ledger import Ledger
from contact_sync.state.store import Store
from contact_sync.steps.deliver import _Delivery
from contact_sync.steps.extract import extract
from contact_sync.steps.match import match, plan_rows
from contact_sync.steps.normalize import normalize
from contact_sync.steps.outcomes import Outcomes
from contact_sync.steps.report import report
from contact_sync.steps.retry import _Attempt

Listen = Callable[[str], None]
"""Told of a moment: `before` or `after` a place."""

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "extract": extract,
    "normalize": normalize,
    "match": match,
    "report": report,
    "plan": plan_rows,
    "rows": bulk.upsert,  # inside of a transaction, as are the next two
    "links": links.save,
    "queue": retries.queue,
}
METHODS: Mapping[str, tuple[type, str]] = {
    "delivery": (_Delivery, "run"),
    "locked": (_Delivery, "_carry_out"),
    "retry": (_Attempt, "run"),
    "due": (Store, "due_retries"),
    "request": (Wire, "exchange"),
    "sending": (Store, "send"),
    "recording": (Outcomes, "record"),
    "transaction": (Store, "record"),
    "ledger": (Ledger, "commit"),
    "piece": (FrameWriter, "append"),
    "publish": (FrameWriter, "publish"),
    "rename": (LocalFileSystem, "mv"),
}


def watch(listen: Listen) -> None:
    """Tell `listen` of every moment from now on, in this process, for good."""
    for name, function in FUNCTIONS.items():
        _replace(function, _watched(name, function, listen))
    for name, (owner, attribute) in METHODS.items():
        setattr(owner, attribute, _watched(name, getattr(owner, attribute), listen))


def _watched(name: str, function: Callable[..., Any], listen: Listen) -> Callable[..., Any]:
    @functools.wraps(function)
    def watched(*args: Any, **options: Any) -> Any:  # noqa: ANN401 -- whatever the function takes and gives
        asset = f" {args[0]._path.split('/')[-2]}" if isinstance(args[0], FrameWriter) else ""
        listen(f"before {name}{asset}")
        result = function(*args, **options)
        listen(f"after {name}{asset}")
        return result

    return watched


def _replace(function: Callable[..., Any], watched: Callable[..., Any]) -> None:
    """Put `watched` wherever a module of ours has imported `function`."""
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("contact_sync"):
            for name, value in list(vars(module).items()):
                if value is function:
                    setattr(module, name, watched)

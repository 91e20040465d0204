"""Field-wise changes: the paths of PATCH and of enrich's rules, and PATCH's actions.

What belongs here: reading `$.a.b` and changing one place of a record. Whether the outcome is valid is the rules'.
"""

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from contact_sync.simulator.errors import Fault, Json, conflict, invalid

_PATH = re.compile(r"\$(\.[A-Za-z0-9_]+)+")
Path = tuple[str, ...]
_Change = Callable[[Any, Any], Any]


def path_of(field: object, known: Iterable[str]) -> Path:
    """Return the names along a `$.a.b` path, whose first is one of `known`.

    Raises:
        ApiError: 422.
    """
    if isinstance(field, str) and _PATH.fullmatch(field):
        path = tuple(field.split(".")[1:])
        if path[0] in set(known):
            return path
    raise invalid([Fault("field", "must be a $.a.b path to a writable field", str(field))])


def patched(record: Json, changes: object, known: Mapping[str, object]) -> Json:
    """Return the top-level fields that `changes` touch, as they are afterwards (None: removed).

    Raises:
        ApiError: 409 when a field and its parent are changed, 422.
    """
    if not isinstance(changes, list) or not all(isinstance(change, dict) for change in changes):
        raise invalid([Fault("changes", "must be an array of changes")])
    paths = [path_of(change.get("field"), known) for change in changes]
    _refuse_overlap(paths)
    touched = {path[0]: copy.deepcopy(record.get(path[0])) for path in paths}
    for path, change in zip(paths, changes, strict=True):
        action = _ACTIONS.get(str(change.get("action")))
        if action is None:
            raise invalid([Fault("action", "is not a patch action", str(change.get("action")))])
        _change_at(touched, path, action, change.get("value"))
    return touched


def _refuse_overlap(paths: list[Path]) -> None:
    for path in paths:
        if any(other != path and path[: len(other)] == other for other in paths):
            raise conflict("request.conflict", "A field and its parent cannot be patched in one request.")


def _change_at(target: Json, path: Path, action: _Change, value: object) -> None:
    *parents, last = path
    for name in parents:
        inner = target.get(name)
        if not isinstance(inner, dict):
            inner = target[name] = {}
        target = inner
    target[last] = action(target.get(last), value)


def _appended(old: Any, value: Any) -> Any:  # noqa: ANN401 -- JSON of any shape
    return [*_listed(old), *(one for one in _listed(value) if one not in _listed(old))]


def _without(old: Any, value: Any) -> Any:  # noqa: ANN401 -- JSON of any shape
    return [one for one in _listed(old) if one not in _listed(value)]


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 -- JSON of any shape
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


_ACTIONS: Mapping[str, _Change] = {
    "Update": lambda _old, value: value,
    "UpdateIfEmpty": lambda old, value: old or value,
    "UpdateIfExists": lambda old, value: value if old else old,
    "AppendToCollection": _appended,
    "Remove": lambda _old, _value: None,
    "RemoveFromCollection": _without,
}

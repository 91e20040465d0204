"""How enrich combines what is stored with what is provided.

What belongs here: field rules. Finding the record, and keeping the outcome, is enrich's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contact_sync.simulator.errors import Fault, Json, invalid
from contact_sync.simulator.kinds import MAPS, RecordKind
from contact_sync.simulator.patching import Path, path_of

_ACTIONS = frozenset({"AlwaysUseProvided", "PreferExisting", "PreferProvided"})
_ARRAY_ACTIONS = frozenset({"Replace", "Extend", "Fill"})


@dataclass(frozen=True, slots=True)
class FieldRules:
    """Enrich's `fieldRules`; a rule for a field also holds for its members unless they have their own."""

    actions: Mapping[Path, str]
    array_actions: Mapping[Path, str]

    @classmethod
    def read(cls, written: Json, kind: RecordKind) -> "FieldRules":
        """Return the rules of a request.

        Raises:
            ApiError: 422.
        """
        actions: dict[Path, str] = {(): "PreferProvided"}
        array_actions: dict[Path, str] = {(): "Fill"}
        _set(actions, (), written.get("defaultAction"), _ACTIONS)
        _set(array_actions, (), written.get("defaultArrayAction"), _ARRAY_ACTIONS)
        for rule in _rules(written):
            path = path_of(rule.get("field"), kind.rules)
            _set(actions, path, rule.get("action"), _ACTIONS)
            _set(array_actions, path, rule.get("arrayAction"), _ARRAY_ACTIONS)
        return cls(actions, array_actions)

    def combined(self, old: Json, new: Json, kind: RecordKind) -> Json:
        """Return the fields of a record after enriching `old` with `new`.

        Raises:
            ApiError: 422 when an extended array grows beyond its limit.
        """
        values = {name: self._value(name, old.get(name), new.get(name), kind) for name in kind.rules}
        return {name: value for name, value in values.items() if value not in (None, [], {})}

    def _value(self, name: str, old: Any, new: Any, kind: RecordKind) -> object:  # noqa: ANN401 -- JSON of any shape
        if name in kind.arrays:
            return self._array((name,), old or [], new or [], kind.arrays[name])
        if name in MAPS:
            return self._map((name,), old or {}, new or {})
        return self._one((name,), old, new)

    def _one(self, path: Path, old: Any, new: Any) -> Any:  # noqa: ANN401 -- JSON of any shape
        action = _nearest(self.actions, path)
        if action == "AlwaysUseProvided":
            return new
        first, second = (old, new) if action == "PreferExisting" else (new, old)
        return second if first is None else first

    def _map(self, path: Path, old: Json, new: Json) -> Json:
        names = dict.fromkeys([*old, *new])
        members = {name: self._one((*path, name), old.get(name), new.get(name)) for name in names}
        return {name: value for name, value in members.items() if value is not None}

    def _array(self, path: Path, old: list[object], new: list[object], limit: int) -> list[object]:
        array_action = _nearest(self.array_actions, path)
        action = _nearest(self.actions, path)
        if array_action == "Replace" or (action == "AlwaysUseProvided" and not new):
            return list(self._one(path, old or None, new or None) or [])
        joined = old + [item for item in new if item not in old]
        if array_action == "Fill":
            return joined[:limit]
        if len(joined) > limit:
            raise invalid([Fault(path[0], f"must not have more than {limit} items")])
        return joined


def _rules(written: Json) -> list[Json]:
    rules = written.get("rules") or []
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise invalid([Fault("fieldRules", "rules must be an array of objects")])
    return rules


def _nearest(rules: Mapping[Path, str], path: Path) -> str:
    while path not in rules:
        path = path[:-1]
    return rules[path]


def _set(rules: dict[Path, str], path: Path, action: object, allowed: frozenset[str]) -> None:
    if action is None:
        return
    if action not in allowed:
        raise invalid([Fault("fieldRules", f"must be one of {', '.join(sorted(allowed))}", str(action))])
    rules[path] = str(action)

"""The settings file as people write it: on which line a setting stands, and the registries that are shipped.

What belongs here: YAML. What a registry may say belongs to `contacts.mapping`, reading the settings to `settings`.
"""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import yaml

_PRESETS = resources.files("contact_sync") / "presets"


def preset_names() -> list[str]:
    """Return the names of the registries that are shipped."""
    return sorted(one.name.removesuffix(".yaml") for one in _PRESETS.iterdir() if one.name.endswith(".yaml"))


def with_preset(registry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a registry with the lines of the shipped one that it names.

    Its own lines come first. A line of the preset is left out where one of them fills the same field, or where the
    registry ignores its CRM field.

    Raises:
        ValueError: There is no such preset.
    """
    name = registry.get("preset")
    if name is None:
        return dict(registry)
    if name not in preset_names():
        raise ValueError(f"there is no preset '{name}': use one of {', '.join(preset_names())}")
    shipped = yaml.safe_load((_PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))
    own, ignored = _listed(registry.get("fields")), _listed(registry.get("ignored"))
    filled = [line.get("genesys") for line in own if isinstance(line, Mapping)]
    read = [line.get("crm") for line in own if isinstance(line, Mapping)]
    lines = [line for line in shipped["fields"] if line["genesys"] not in filled and line["crm"] not in ignored]
    more = [field for field in shipped["ignored"] if field not in read]
    return {**registry, "fields": [*own, *lines], "ignored": [*ignored, *more]}


def line_of(text: str, place: Sequence[str | int]) -> int | None:
    """Return the line, from 1, on which a setting of a YAML text stands; None if it is not there.

    Args:
        text: The file.
        place: Names and places on the way to the setting.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    line = None
    for step in place:
        inner, found = _inside(node, step)
        if inner is None:
            return None
        node, line = inner, found
    return line


def _inside(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, int | None]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == str(step):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        inner = node.value[step]
        return inner, inner.start_mark.line + 1
    return None, None


def _listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []

"""The CRM's fields: which the registry sends, and which it does not list though they carry values.

What belongs here: holding what was seen against the registry as it is now. What is seen is noted by `extract`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from contact_sync.contacts.mapping import Registry
from contact_sync.steps.context import SyncContext


def unlisted_fields(context: SyncContext) -> list[dict[str, Any]]:
    """Return the CRM fields that carried values and that the registry neither sends nor ignores, by name.

    Each has its name as `field`, `first_seen`, `last_seen`, `records`, and the `shape` of a value if one is known.
    """
    registry = context.settings.registry
    listed = {*registry.crm_fields, *registry.ignored}
    return [row for row in context.store.unmapped(context.source.name) if row["field"] not in listed]


def listed_fields(registry: Registry) -> Sequence[Mapping[str, str]]:
    """Return the lines of the registry: `crm`, `genesys`, its `type`, and the `rules` that are not as usual."""
    return [
        {
            "crm": rule.crm,
            "genesys": rule.genesys,
            "type": rule.type or "",
            "rules": ", ".join(
                f"{name}: {', '.join(value) if isinstance(value, tuple) else value}"
                for name, value in rule.model_dump(
                    exclude={"crm", "genesys", "type"}, exclude_defaults=True
                ).items()
            ),
        }
        for rule in registry.fields
    ]

"""The contact type that a delivery sends custom fields with.

What belongs here: when it is looked after: once a run, before the first contact that needs it. How it is created
and extended belongs to `genesys.schemas`.
"""

from collections.abc import Iterable

from contact_sync.contacts.fields import CUSTOM
from contact_sync.contacts.mapping import Registry
from contact_sync.contacts.requests import ContactRequest
from contact_sync.genesys.payloads import SchemaVersion
from contact_sync.genesys.schemas import ensure_schema
from contact_sync.genesys.transport import Transport


class CustomFields:
    """The version of the contact type that has every custom field of the registry, once it was needed."""

    def __init__(self, transport: Transport, registry: Registry) -> None:
        self._transport = transport
        self._registry = registry
        self.schema: SchemaVersion | None = None

    def prepare(self, requests: Iterable[ContactRequest]) -> None:
        """See to it that the contact type has what these requests carry.

        Raises:
            GenesysFatalError: It cannot have it: its limits, permissions.
            GenesysRetryableError: Genesys does not answer.
        """
        if self.schema is None and any(name.startswith(CUSTOM) for one in requests for name in one.contact):
            registry = self._registry
            self.schema = ensure_schema(self._transport, registry.custom_schema, registry.custom_fields)

"""Everything that the twin holds, and its snapshot.

What belongs here: putting the parts together, saving them to one file and opening them again. Tokens and request
counts belong to a running server and are not saved.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from contact_sync.simulator.cursors import Cursors
from contact_sync.simulator.enrich import Enricher
from contact_sync.simulator.errors import Json
from contact_sync.simulator.injector import Injector
from contact_sync.simulator.kinds import CONTACT, ORGANIZATION
from contact_sync.simulator.merging import merge
from contact_sync.simulator.moments import now_of
from contact_sync.simulator.schemas import Schemas
from contact_sync.simulator.service import RecordService
from contact_sync.simulator.settings import TwinSettings
from contact_sync.simulator.sources import ExternalSources

FORMAT = 1


class _Part(Protocol):
    def dump(self) -> Json: ...

    def load(self, dumped: Json) -> None: ...


class TwinStore:
    """Contacts, organizations, external sources and schemas of one organisation, and the faults that befall it.

    Attributes:
        injector: Brings the faults; set its `faults` to change them.
    """

    def __init__(self, settings: TwinSettings) -> None:
        now = now_of(settings.clock)
        self.settings = settings
        self.injector = Injector(settings)
        self.cursors = Cursors(settings.clock)
        self.sources = ExternalSources(settings, self.cursors)
        self.contact_schemas = Schemas(now, "CONTACT", f"{CONTACT.path}/schemas")
        self.organization_schemas = Schemas(now, "EXTERNAL_ORGANIZATION", f"{ORGANIZATION.path}/schemas")
        self.contacts = RecordService(CONTACT, settings, self.contact_schemas, self.sources, self.injector)
        self.organizations = RecordService(
            ORGANIZATION, settings, self.organization_schemas, self.sources, self.injector
        )
        self.contacts.expanders["externalOrganization"] = self._expand_organization
        self.contact_enricher = Enricher(
            self.contacts, "contact", "contact", lambda ids: merge(self.contacts, ids)
        )
        self.organization_enricher = Enricher(self.organizations, "externalOrganization", "externalorg")

    def save(self, path: Path) -> None:
        """Write everything to one JSON file that only its owner may read, while nobody writes to the twin."""
        parts = {name: part.dump() for name, part in self._parts().items()}
        scratch = path.with_name(f"{path.name}.new")
        scratch.unlink(missing_ok=True)
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps({"format": FORMAT} | parts, ensure_ascii=False))
        scratch.replace(path)

    def load(self, path: Path) -> None:
        """Replace everything by what `save` wrote to `path`.

        Raises:
            ValueError: The file is no snapshot of this format.
        """
        saved = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(saved, dict) or saved.get("format") != FORMAT:
            raise ValueError(f"{path} is not a snapshot of the twin (format {FORMAT}); save a new one")
        for name, part in self._parts().items():
            part.load(saved[name])

    def _parts(self) -> Mapping[str, _Part]:
        return {
            "externalSources": self.sources,
            "contactSchemas": self.contact_schemas,
            "organizationSchemas": self.organization_schemas,
            "contacts": self.contacts,
            "organizations": self.organizations,
        }

    def _expand_organization(self, shown: Json) -> None:
        reference = shown.get("externalOrganization")
        if reference and (found := self.organizations.store.get(reference["id"])):
            shown["externalOrganization"] = self.organizations.present(reference["id"], found)

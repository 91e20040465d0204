"""Who owns an e-mail address, a number or an external id.

What belongs here: what identifiers a record carries, and the index of their owners. The first to claim owns; the
others wait, and the next in line inherits when the owner lets go (an inbound call then finds the next contact).
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from contact_sync.simulator.errors import Json

EMAIL_FIELDS = ("workEmail", "personalEmail", "otherEmail")
PHONE_FIELDS = ("workPhone", "cellPhone", "homePhone", "otherPhone")
CONTACT_TYPES = frozenset(
    {
        "SocialLine",
        "SocialFacebook",
        "SocialTwitter",
        "SocialWhatsapp",
        "SocialInstagram",
        "SocialInstagramHandle",
        "SocialWhatsappBsuid",
        "AppleOpaqueId",
        "Email",
        "Phone",
        "Cookie",
        "ExternalId",
    }
)
_SCOPED_IDS = (
    ("lineId", "SocialLine", "userId"),
    ("facebookId", "SocialFacebook", "scopedId"),
    ("instagramId", "SocialInstagram", "scopedId"),
)


class Identifier(NamedTuple):
    """One identifier; `source` is the external source's id, empty but for external ids."""

    type: str
    value: str
    source: str = ""

    def key(self) -> bytes:
        """Return 16 bytes that stand for it: a million contacts hold several million of these."""
        text = f"{self.type}\x1f{self.source}\x1f{self.value}"
        return hashlib.blake2b(text.encode(), digest_size=16).digest()

    def json(self) -> Json:
        """Return the ContactIdentifier."""
        source = {"externalSource": {"id": self.source}} if self.source else {}
        return {"type": self.type, "value": self.value} | source


def external_ids_of(record: Json) -> Iterator[Identifier]:
    """Yield the external ids that a contact or an organisation carries."""
    for held in record.get("externalIds", ()):
        yield Identifier("ExternalId", held["value"], held["externalSource"]["id"])


def identifiers_of(contact: Json) -> Iterator[Identifier]:
    """Yield every identifier that a contact's fields carry, owned or not; a number only if readable as E.164."""
    yield from external_ids_of(contact)
    for name in EMAIL_FIELDS:
        if name in contact:
            yield Identifier("Email", contact[name].lower())
    for name in PHONE_FIELDS:
        if e164 := contact.get(name, {}).get("e164"):
            yield Identifier("Phone", e164)
    yield from _social(contact)


def _social(contact: Json) -> Iterator[Identifier]:
    if screen_name := contact.get("twitterId", {}).get("screenName"):
        yield Identifier("SocialTwitter", screen_name.lstrip("@").lower())
    if e164 := contact.get("whatsAppId", {}).get("phoneNumber", {}).get("e164"):
        yield Identifier("SocialWhatsapp", e164)
    for name, kind, key in _SCOPED_IDS:
        for item in contact.get(name, {}).get("ids", ()):
            yield Identifier(kind, item[key])
    for item in contact.get("appleOpaqueIds", ()):
        yield Identifier("AppleOpaqueId", item["value"])


class IdentifierIndex:
    """The owner of every identifier, and who waits for it."""

    def __init__(self) -> None:
        self._owner: dict[bytes, str] = {}
        self._waiting: dict[bytes, list[str]] = {}
        self._undo: dict[bytes, list[str]] | None = None

    def owner(self, identifier: Identifier) -> str | None:
        """Return the id of the record that owns `identifier`."""
        return self._owner.get(identifier.key())

    def holders(self, identifier: Identifier) -> list[str]:
        """Return the owner's id and then the ids of those that wait."""
        return self._queue(identifier.key())

    def owned(self, record_id: str, identifiers: Iterable[Identifier]) -> list[Identifier]:
        """Return those of `identifiers` that `record_id` owns, each once."""
        return [one for one in dict.fromkeys(identifiers) if self.owner(one) == record_id]

    def move(self, record_id: str, before: Iterable[Identifier], after: Iterable[Identifier]) -> None:
        """Release what `record_id` no longer carries and claim what it newly carries."""
        old, new = dict.fromkeys(before), dict.fromkeys(after)
        for identifier in old:
            if identifier not in new:
                self._release(identifier.key(), record_id)
        for identifier in new:
            if identifier not in old:
                self._claim(identifier.key(), record_id)

    def contested(self) -> dict[str, list[str]]:
        """Return, for each identifier that several records carry, its owner and then who waits, in order."""
        return {key.hex(): [self._owner[key], *waiting] for key, waiting in self._waiting.items()}

    def settle(self, contested: dict[str, list[str]]) -> None:
        """Put the queues of `contested` in place of what claiming in another order led to."""
        for key, queue in contested.items():
            self._put(bytes.fromhex(key), queue)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Take back at the end all claims and releases made inside."""
        self._undo = {}
        try:
            yield
        finally:
            undo, self._undo = self._undo, None
            for key, queue in undo.items():
                self._put(key, queue)

    def _queue(self, key: bytes) -> list[str]:
        """Return the owner and then who waits."""
        return [self._owner[key], *self._waiting.get(key, ())] if key in self._owner else []

    def _put(self, key: bytes, queue: list[str]) -> None:
        self._owner.pop(key, None)
        self._waiting.pop(key, None)
        if queue:
            self._owner[key] = queue[0]
        if queue[1:]:
            self._waiting[key] = queue[1:]

    def _note(self, key: bytes) -> None:
        if self._undo is not None:
            self._undo.setdefault(key, self._queue(key))

    def _claim(self, key: bytes, record_id: str) -> None:
        self._note(key)
        owner = self._owner.setdefault(key, record_id)
        if owner != record_id:
            waiting = self._waiting.setdefault(key, [])
            if record_id not in waiting:
                waiting.append(record_id)

    def _release(self, key: bytes, record_id: str) -> None:
        self._note(key)
        waiting = self._waiting.get(key, [])
        if self._owner.get(key) != record_id:
            if record_id in waiting:
                waiting.remove(record_id)
        elif waiting:
            self._owner[key] = waiting.pop(0)
        else:
            del self._owner[key]
        if not waiting:
            self._waiting.pop(key, None)

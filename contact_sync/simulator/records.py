"""Where the twin keeps contacts and organisations: in memory, a million at a time.

What belongs here: keeping records, their order, their aliases and their identifiers. What a valid record is, and
how it looks on the wire, is not known here. A record is held as JSON bytes: a third of the memory of nested dicts,
and nobody can change it by accident.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import cast

from contact_sync.simulator.errors import Json
from contact_sync.simulator.history import History
from contact_sync.simulator.identifiers import Identifier, IdentifierIndex


class RecordStore:
    """Records by id, in order of creation.

    Args:
        identify: Yields the identifiers that a record carries.
        history: Remembers what records were, for the search index.
    """

    def __init__(self, identify: Callable[[Json], Iterable[Identifier]], history: History) -> None:
        self._identify = identify
        self._history = history
        self._records: dict[str, bytes] = {}
        # Append-only, so that a scan's cursor is a position; a removed id stays behind and is skipped.
        self._order: list[str] = []
        self._aliases: dict[str, str] = {}
        self._undo: dict[str, bytes | None] | None = None
        self.identifiers = IdentifierIndex()

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, record_id: str) -> bool:
        return self.canonical(record_id) in self._records

    def __iter__(self) -> Iterator[tuple[str, Json]]:
        return ((record_id, _decode(raw)) for record_id, raw in self._records.items())

    def canonical(self, record_id: str) -> str:
        """Return the id that `record_id` was merged into, or itself."""
        while record_id in self._aliases:
            record_id = self._aliases[record_id]
        return record_id

    def get(self, record_id: str) -> Json | None:
        """Return a copy of the record, following merges; None if there is none."""
        raw = self._records.get(self.canonical(record_id))
        return None if raw is None else _decode(raw)

    def put(self, record_id: str, record: Json) -> None:
        """Keep `record`, claiming and releasing identifiers as its fields say."""
        old = self.get(record_id)
        if old is None:
            self._order.append(record_id)
        self.identifiers.move(record_id, self._identify(old or {}), self._identify(record))
        self._note(record_id)
        self._records[record_id] = _encode(record)

    def remove(self, record_id: str) -> bool:
        """Forget the record and release its identifiers; False if there was none."""
        record_id = self.canonical(record_id)
        raw = self._records.get(record_id)
        if raw is None:
            return False
        self._note(record_id)
        del self._records[record_id]
        self.identifiers.move(record_id, self._identify(_decode(raw)), ())
        return True

    def redirect(self, record_id: str, canonical_id: str) -> None:
        """Make `record_id` an alias of `canonical_id`; its own record is gone."""
        self.remove(record_id)
        self._aliases[record_id] = canonical_id

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Take back at the end all that was done inside, as if it had never been."""
        self._undo, length, aliases = {}, len(self._order), dict(self._aliases)
        try:
            with self.identifiers.rehearsal():
                yield
        finally:
            undo, self._undo = self._undo, None
            self._aliases = aliases
            self._restore(undo, length)

    def indexed(self) -> dict[str, Json | None]:
        """Return the records of which the search index does not know the latest, as it knows them."""
        stale = self._history.indexed()
        return {one: None if raw is None else _decode(raw) for one, raw in stale.items()}

    def owner(self, identifier: Identifier) -> tuple[str, Json] | None:
        """Return the record that owns `identifier`."""
        record_id = self.identifiers.owner(identifier)
        return None if record_id is None else (record_id, _decode(self._records[record_id]))

    def carried(self, record: Json) -> list[Identifier]:
        """Return the identifiers that `record` carries, owned or not, each once."""
        return list(dict.fromkeys(self._identify(record)))

    def first(self, count: int) -> list[tuple[str, Json]]:
        """Return the oldest `count` records."""
        return [(one, _decode(raw)) for one, raw in islice(self._records.items(), count)]

    def page(self, position: int, limit: int) -> tuple[list[tuple[str, Json]], int | None]:
        """Return what is left of `limit` positions from `position`, and where to go on (None: the end)."""
        ids = self._order[position : position + limit]
        found = [(one, _decode(self._records[one])) for one in ids if one in self._records]
        reached = position + limit
        return found, reached if reached < len(self._order) else None

    def containing(self, fragments: Iterable[str]) -> Iterator[tuple[str, Json]]:
        """Yield the records whose text has every fragment somewhere, whatever the case. Reads all of them."""
        needles = [json.dumps(fragment.lower(), ensure_ascii=False)[1:-1] for fragment in fragments]
        for record_id, raw in self._records.items():
            text = raw.decode().lower()
            if all(needle in text for needle in needles):
                yield record_id, _decode(raw)

    def dump(self) -> Json:
        """Return everything as JSON."""
        records = [[one, _decode(self._records[one])] for one in self._order if one in self._records]
        return {"records": records, "aliases": self._aliases, "contested": self.identifiers.contested()}

    @classmethod
    def restored(
        cls, identify: Callable[[Json], Iterable[Identifier]], history: History, dumped: Json
    ) -> "RecordStore":
        """Return the store that `dump` wrote down."""
        store = cls(identify, history)
        for record_id, record in dumped["records"]:
            store.put(record_id, record)
        store._aliases.update(dumped["aliases"])
        store.identifiers.settle(dumped["contested"])
        return store

    def _note(self, record_id: str) -> None:
        """Remember what a record was, before it changes."""
        before = self._records.get(record_id)
        if self._undo is None:
            self._history.note(record_id, before)
        else:
            self._undo.setdefault(record_id, before)

    def _restore(self, befores: Mapping[str, bytes | None], length: int) -> None:
        """Put records back as they were, and the order when it was `length` long."""
        kept = {one: raw for one, raw in befores.items() if raw is not None}
        moved = (kept.keys() - self._records.keys()) | (kept.keys() & {*self._order[length:]})
        del self._order[length:]
        for record_id in befores.keys() - kept.keys():
            self._records.pop(record_id, None)
        self._records |= kept
        if moved:  # a record that was removed in between comes last now
            place = {one: index for index, one in enumerate(self._order)}
            self._records = {one: self._records[one] for one in sorted(self._records, key=place.__getitem__)}


def _encode(record: Json) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def _decode(raw: bytes) -> Json:
    return cast("Json", json.loads(raw))

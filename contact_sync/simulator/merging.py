"""Merging contacts into a new canonical one.

What belongs here: which values survive, and what becomes of the merged ids. When to merge is the caller's choice.
"""

from collections.abc import Sequence

from contact_sync.simulator.errors import ApiError, Fault, Json, conflict, invalid
from contact_sync.simulator.identifiers import EMAIL_FIELDS, PHONE_FIELDS
from contact_sync.simulator.moments import new_id
from contact_sync.simulator.service import RecordService

MAX_INPUTS = 25
MAX_MERGE_SET = 52


def merge(contacts: RecordService, contact_ids: Sequence[str], override: Json | None = None) -> tuple[str, Json]:
    """Merge contacts; the old ids lead to the new contact from now on.

    The most recently modified contact's values win. Numbers and addresses that lose theirs move to a free field.

    Raises:
        ApiError: 404, 409 when the outcome is too large, 422.
    """
    inputs = dict(map(contacts.fetch, contact_ids))
    if not 2 <= len(inputs) <= MAX_INPUTS:
        raise invalid([Fault("contactIds", f"must name 2 to {MAX_INPUTS} different contacts")])
    if len({record["division"]["id"] for record in inputs.values()}) > 1:
        raise ApiError(422, "merge.across.divisions.disallowed", "Contacts of several divisions cannot be merged.")
    provided = contacts.cleaned(override or {})
    newest_first = sorted(inputs.values(), key=lambda record: str(record["modifyDate"]), reverse=True)
    survivor = _survivor(contacts, newest_first) | provided
    merged_id = new_id()
    history = _history(inputs, merged_id)
    contacts.check(survivor)
    for old_id in inputs:
        contacts.store.redirect(old_id, merged_id)
    return contacts.add(survivor | history, merged_id)


def _survivor(contacts: RecordService, newest_first: Sequence[Json]) -> Json:
    survivor: Json = {}
    for record in newest_first:
        for name in contacts.kind.rules:
            if name in record and name not in contacts.kind.arrays:
                survivor.setdefault(name, record[name])
    for slots in (EMAIL_FIELDS, PHONE_FIELDS):
        _rehome(survivor, newest_first, slots)
    for name in contacts.kind.arrays:
        items = [item for record in newest_first for item in record.get(name, ())]
        if unique := [item for index, item in enumerate(items) if item not in items[:index]]:
            survivor[name] = unique
    too_many = any(len(survivor.get(name, ())) > limit for name, limit in contacts.kind.arrays.items())
    if too_many or len(contacts.store.carried(survivor)) > contacts.settings.max_identifiers:
        raise conflict("too.many.identifiers", "Tried to merge, but a contact involved has too many identifiers")
    return survivor


def _rehome(survivor: Json, newest_first: Sequence[Json], slots: Sequence[str]) -> None:
    """Give numbers or addresses that lost their field another one, as long as one is free."""
    for record in newest_first:
        for name in slots:
            taken = [survivor[slot] for slot in slots if slot in survivor]
            free = next((slot for slot in slots if slot not in survivor), None)
            if free and name in record and record[name] not in taken:
                survivor[free] = record[name]


def _history(inputs: dict[str, Json], merged_id: str) -> Json:
    members = list(inputs)
    for record in inputs.values():
        members += [one["id"] for one in record.get("mergeSet", ())]
    merge_set = [merged_id, *dict.fromkeys(members)]
    if len(merge_set) > MAX_MERGE_SET:
        raise conflict("mergeset.max.size", "Tried to merge, but the resulting merge history would be too large")
    return {
        "canonicalContact": {"id": merged_id},
        "mergedFrom": [{"id": one} for one in inputs],
        "mergeSet": [{"id": one} for one in merge_set],
    }

"""Bulk requests: one answer for many items, in no promised order.

What belongs here: taking the list apart and putting the results together. What is done with an item is given.
"""

import zlib
from collections.abc import Callable
from typing import NamedTuple

from contact_sync.simulator.errors import ApiError, Fault, Json, bad_request, invalid
from contact_sync.simulator.settings import TwinSettings
from contact_sync.simulator.store import TwinStore

MAX_ENRICH_ITEMS = 10


class Done(NamedTuple):
    """What became of an item; `entity` is None where the contract returns none."""

    id: str | None
    status: int
    entity: Json | None


def run(body: Json, limit: int, store: TwinStore, act: Callable[[Json], Done]) -> Json:
    """Carry out `act` for every item and return the bulk response; a refused item does not stop the others.

    Raises:
        ApiError: 400 when the list is too long, 422 when it is none.
    """
    items = body.get("entities")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise invalid([Fault("entities", "must be an array of objects")])
    limit = store.injector.limit("max_bulk_items", limit, len(items))
    if len(items) > limit:
        raise bad_request(f"Invalid query parameter or entity list too big: at most {limit}")
    results = _ordered([_result(item, store, act) for item in items], store.settings)
    failed = [index for index, result in enumerate(results) if not result["success"]]
    return {"results": results, "errorCount": len(failed), "errorIndexes": failed}


def _result(item: Json, store: TwinStore, act: Callable[[Json], Done]) -> Json:
    try:
        store.injector.before_item(item)
        done = act(item)
        store.injector.after_item()
    except ApiError as error:
        named = {"id": item["id"]} if isinstance(item.get("id"), str) else {}
        return named | {"success": False, "status": error.status, "error": error.bulk_body(item)}
    result: Json = {} if done.id is None else {"id": done.id}
    status = store.settings.bulk_created_status if done.status == 201 else done.status
    result |= {"success": True, "status": status}
    return result if done.entity is None else result | {"entity": done.entity}


def _ordered(results: list[Json], settings: TwinSettings) -> list[Json]:
    if settings.bulk_result_order == "reversed":
        return results[::-1]
    if settings.bulk_result_order == "shuffled":
        return sorted(results, key=lambda result: zlib.crc32(str(result.get("id")).encode()))
    return results

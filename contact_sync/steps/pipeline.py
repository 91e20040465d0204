"""The five steps in a row, without Dagster: what `contact-sync run` and `contact-sync plan` do.

What belongs here: their order. The Dagster assets run the same steps one by one.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from contact_sync.contacts.normalizing import normalize as normalize_frame
from contact_sync.contacts.requests import ContactRequest
from contact_sync.contacts.window import Window
from contact_sync.genesys.client import MAX_UPSERTS
from contact_sync.steps.context import SyncContext, check_frame
from contact_sync.steps.deliver import Delivered, Progress, deliver
from contact_sync.steps.extract import delta_pieces, extract
from contact_sync.steps.gone import follow_feed
from contact_sync.steps.match import match, plan_windows
from contact_sync.steps.normalize import normalize
from contact_sync.steps.organizations import Account, names_of, unknown
from contact_sync.steps.report import report
from contact_sync.steps.sending import MAX_REMOVALS


def sync(
    context: SyncContext, windows: Sequence[Window], run_id: str, progress: Progress | None = None
) -> Iterator[Delivered]:
    """Sync windows one after the other; yield what became of each once it is committed.

    Raises:
        Exception: As the steps do; windows already yielded stay committed.
    """
    if windows:
        follow_feed(context)
    for window in windows:
        extract(context, window)
        normalize(context, window)
        match(context, [window])
        [delivered] = deliver(context, [window], run_id, progress)
        report(context, window)
        yield delivered


def preview(context: SyncContext, windows: Sequence[Window]) -> Iterator[tuple[Window, pd.DataFrame]]:
    """Yield the plan of each window; nothing is stored and nothing is sent.

    Raises:
        CrmError: The CRM could not be read.
        ContractError: A frame breaks its contract.
    """
    yield from plan_windows(context, ((window, _normalized(context, window)) for window in windows))


def _normalized(context: SyncContext, window: Window) -> pd.DataFrame:
    delta = pd.concat(delta_pieces(context, window), ignore_index=True)
    check_frame("crm_delta", delta, context.settings.sync.max_held_share)
    return normalize_frame(delta, context.settings.registry)


def cost(context: SyncContext, plans: Iterable[pd.DataFrame]) -> int:
    """Return how many writing requests plans take, one after the other.

    Raises:
        StateError: The organisations that are known cannot be read.
    """
    total, named = 0, dict[Account, str]()
    for plan in plans:
        requests = plan["request"].dropna()
        removals = int(requests.str.startswith('{"kind":"remove"').sum())
        names = names_of(map(ContactRequest.from_json, requests))
        sent = unknown(context.store, {one: name for one, name in names.items() if named.get(one) != name})
        named |= names
        total += math.ceil((len(requests) - removals) / MAX_UPSERTS) + math.ceil(removals / MAX_REMOVALS)
        total += math.ceil(len(sent) / MAX_UPSERTS)
    return total

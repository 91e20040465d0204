"""dedup_matches: the plan of each window, made against what the state database knows.

What belongs here: loading what the planner needs. Deciding belongs to `contacts.planning`, sending to `deliver`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from contact_sync.contacts.fields import fields_of
from contact_sync.contacts.identity import Directory, Link, business_key
from contact_sync.contacts.planning import make_plan
from contact_sync.contacts.schemas import records
from contact_sync.contacts.window import Window
from contact_sync.steps.context import SyncContext
from contact_sync.steps.grace import deletes_earned
from contact_sync.steps.tally import FEW_ROWS


def match(context: SyncContext, windows: Sequence[Window]) -> Mapping[Window, pd.DataFrame]:
    """Plan windows in order, each seeing what the ones before it will have done, and store the plans.

    Returns:
        The plan of each window, with the columns of `schemas.DEDUP_MATCHES`.

    Raises:
        StateError: `normalized_contacts` has no frame for a window, or a frame cannot be read or written.
        ContractError: `normalized_contacts` breaks its contract.
    """
    normalized = ((window, context.checked("normalized_contacts", window)) for window in windows)
    plans: dict[Window, pd.DataFrame] = {}
    for window, plan in plan_windows(context, normalized):
        context.frames.write("dedup_matches", window, plan)
        plans[window] = plan
    return plans


def plan_windows(
    context: SyncContext, normalized: Iterable[tuple[Window, pd.DataFrame]]
) -> Iterator[tuple[Window, pd.DataFrame]]:
    """Yield the plan of each window without storing anything."""
    directory = new_directory(context)
    committing: list[Window] = []
    for window, frame in normalized:
        committing.append(window)
        yield window, plan_rows(context, frame, directory, committing)


def plan_rows(
    context: SyncContext, normalized: pd.DataFrame, directory: Directory, committing: Sequence[Window] = ()
) -> pd.DataFrame:
    """Plan rows of `normalized_contacts` against what the state database knows now.

    Args:
        context: The sync.
        normalized: The rows.
        directory: What earlier rows of the same run are planned to become.
        committing: Windows whose upserts have gone out, or go out with these rows.

    Returns:
        The plan, with the columns of `schemas.DEDUP_MATCHES`.
    """
    source = context.source.name
    context.store.fill(directory, list(_wanted(normalized, source)))
    limit = None if context.allow_deletes else _most_removals(context, normalized)
    earned = deletes_earned(context, committing)
    kept = context.settings.registry.kept
    return make_plan(normalized, directory, source=source, max_removals=limit, earned=earned, kept=kept)


def new_directory(context: SyncContext) -> Directory:
    """Return a directory that knows nothing yet."""
    return Directory(context.settings.identity)


def _most_removals(context: SyncContext, normalized: pd.DataFrame) -> int:
    """Return how many contacts a window may remove."""
    limits = context.settings.delivery
    if int((normalized["kind"] != "upsert").sum()) < FEW_ROWS:
        return limits.max_deletes
    contacts = context.store.link_counts(context.source.name)["contacts"]
    return min(limits.max_deletes, int(limits.max_delete_share * contacts))


def _wanted(normalized: pd.DataFrame, source: str) -> Iterator[Link]:
    """Yield what is asked of the state database: each record, what recognises it, and whom it was merged into."""
    for row in records(normalized.loc[normalized["state"] == "ready"]):
        fields = fields_of(row)
        account = row.get("account")
        link = Link(
            record=(source, row["crm_id"]),
            contact=None,
            business_key=business_key(account, fields),
            version=row["version"],
            modified_at=row["modified_at"],
            read_at=row["read_at"],
            account=account,
            fields=fields,
        )
        yield link
        if "merged_into" in row:
            yield replace(link, record=(source, row["merged_into"]))

"""genesys_contacts: all contacts of Genesys scanned into the mirror, so that matching costs no request.

What belongs here: where a scan begins, goes on and ends. A page's shape belongs to `genesys.scan`, keeping it to
`state.mirror`. A scan has one request under way and takes its turns in the shared budget, so that windows are
delivered while it runs; it does not hold up delivery, and delivery not it.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from contact_sync.contacts.seen import FOREIGN, Seen
from contact_sync.genesys.errors import GenesysRowError
from contact_sync.genesys.payloads import ExternalId
from contact_sync.genesys.scan import Page, Scanned, read_page
from contact_sync.state.mirror import Scan
from contact_sync.steps.context import SyncContext
from contact_sync.steps.sources import external_source

CURSOR_LIFE = timedelta(hours=24)
"""How long Genesys honours a cursor."""

Progress = Callable[[int, int], None]
"""Told how far the scan is: pages and contacts so far."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What a complete scan found.

    Attributes:
        contacts: Contacts that Genesys listed, since the scan began.
        pages: The pages that they came on.
        merged: Contacts that were known and have been merged into others in Genesys.
        gone: Contacts that were known and are not there any more.
        missing: Contacts that records are linked to and that are not there; the records' next change makes them.
        held: Contacts in the mirror now.
        shared: Identifiers that too many contacts share to link anybody, by rule.
        resumed: Pages that an earlier run had read.
        requests: API requests that this run sent.
        seconds: How long this run took.
    """

    contacts: int
    pages: int
    merged: int
    gone: int
    missing: int
    held: int
    shared: Mapping[str, int] = field(default_factory=dict)
    resumed: int = 0
    requests: int = 0
    seconds: float = 0.0


def mirror(context: SyncContext, progress: Progress | None = None) -> Mirrored:
    """Scan all contacts, going on where a run before was interrupted.

    Each page is stored with its cursor in one transaction. A cursor that is too old, or that Genesys refuses, lets
    the scan begin anew.

    Raises:
        GenesysError: Genesys does not answer or refuses; what was read is kept.
        StateError: Something cannot be stored.
    """
    started, requests = time.monotonic(), context.genesys.requests_sent
    names = _source_names(context)
    scan = _resumed(context) or Scan(context.clock())
    resumed = scan.pages
    while scan.cursor or not scan.pages:
        asked_at = context.clock()
        try:
            page = read_page(context.genesys.transport, scan.cursor)
        except GenesysRowError as refused:
            if refused.status != 422 or scan.cursor is None:
                raise
            _log.warning("Genesys refuses the cursor after %d pages: the scan begins anew", scan.pages)
            scan, resumed = Scan(asked_at), 0
            continue
        scan = _store(context, scan, page, names, asked_at)
        if progress:
            progress(scan.pages, scan.contacts)
    gone, missing = context.store.finish_scan(scan)
    held, shared = context.store.mirrored(context.settings.identity.shared_threshold)
    return Mirrored(
        contacts=scan.contacts,
        pages=scan.pages,
        merged=scan.merged,
        gone=gone,
        missing=missing,
        held=held,
        shared=shared,
        resumed=resumed,
        requests=context.genesys.requests_sent - requests,
        seconds=time.monotonic() - started,
    )


def _resumed(context: SyncContext) -> Scan | None:
    scan = context.store.scan_under_way()
    if scan and context.clock() - (scan.cursor_at or scan.started_at) < CURSOR_LIFE:
        _log.info("the scan goes on after %d pages", scan.pages)
        return scan
    return None


def _store(context: SyncContext, scan: Scan, page: Page, names: Mapping[str, str], asked_at: datetime) -> Scan:
    listed = [one for one in page.contacts if one.canonical == one.id]
    renamed = [(old, one.id) for one in listed for old in one.replaced]
    renamed += [(one.id, one.canonical) for one in page.contacts if one.canonical != one.id]
    scan = replace(
        scan,
        cursor=page.after,
        cursor_at=asked_at,
        pages=scan.pages + 1,
        contacts=scan.contacts + len(listed),
    )
    moved = context.store.mirror_page(_seen(listed, names), renamed, scan)
    return replace(scan, merged=scan.merged + moved)


def _seen(contacts: Sequence[Scanned], names: Mapping[str, str]) -> list[Seen]:
    unique = {one.id: one for one in contacts}  # a page is stored at once, each contact once
    return [
        Seen(one.id, one.fields, tuple(_named(x, names) for x in one.external_ids), one.organization)
        for one in unique.values()
    ]


def _named(one: ExternalId, names: Mapping[str, str]) -> tuple[str, str]:
    return (names.get(one.source_id, FOREIGN + one.source_id), one.value)


def _source_names(context: SyncContext) -> Mapping[str, str]:
    """Return our names of the external sources that are ours, by their ids in Genesys."""
    prefix = external_source("")
    found = context.genesys.external_sources(prefix)
    return {source_id: name.removeprefix(prefix) for name, source_id in found.items() if name.startswith(prefix)}

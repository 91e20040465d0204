"""normalized_contacts: the rows of a window, clean and canonical, or held with a reason."""

import pandas as pd

from contact_sync.contacts.normalizing import normalize as normalize_frame
from contact_sync.contacts.window import Window
from contact_sync.steps.context import SyncContext


def normalize(context: SyncContext, window: Window) -> pd.DataFrame:
    """Normalize a window's `crm_delta` and store the frame.

    Returns:
        The frame, with the columns of `schemas.NORMALIZED_CONTACTS`; a row for each row of `crm_delta`.

    Raises:
        StateError: `crm_delta` has no frame for the window, or a frame cannot be read or written.
        ContractError: `crm_delta` breaks its contract.
    """
    frame = normalize_frame(context.checked("crm_delta", window), context.settings.registry)
    context.frames.write("normalized_contacts", window, frame)
    return frame

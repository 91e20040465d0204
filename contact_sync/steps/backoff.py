"""When a change that failed is tried again: later each time, and not all at once.

The jitter is a hash of the record and the attempt: spread like chance, and the same whenever it is computed.
"""

import hashlib
import math
from datetime import datetime, timedelta

FIRST = timedelta(minutes=5)
LONGEST = timedelta(hours=6)


def next_attempt(now: datetime, attempts: int, crm_id: str) -> datetime:
    """Return when a change is tried again: after `FIRST`, doubled with each attempt, less up to half of it.

    Args:
        now: The present instant.
        attempts: Failed attempts so far, at least 1.
        crm_id: Spreads the records.
    """
    delay = min(LONGEST, FIRST * math.pow(2, min(attempts - 1, 16)))
    hashed = hashlib.sha256(f"{crm_id} {attempts}".encode()).digest()
    return now + delay * (1 - int.from_bytes(hashed[:4], "big") / 2**33)

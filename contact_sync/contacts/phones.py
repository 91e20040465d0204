"""Phone numbers to E.164: take a number only when it can be read in exactly one way, and say how it was read.

A wrong number is worse than none: it shows an agent another person. What belongs here: the names that the rest of
the package uses. A raw text climbs a ladder: `phone_cleaning` undoes what programs did to it, `phone_text` splits
off the extension and the words, `phone_readings` lists what the digits can be by the numbering plans of
`phone_plans`, and `phone_ladder` decides. `phone_frames` does the same for a column in a fraction of the time.
"""

import phonenumbers

from contact_sync.contacts.phone_frames import PhoneColumn, read_phones
from contact_sync.contacts.phone_ladder import PhoneReading, read_phone

__all__ = ["PhoneColumn", "PhoneReading", "is_region", "read_phone", "read_phones"]


def is_region(code: str) -> bool:
    """Tell whether `code` is a country that has a numbering plan."""
    return code in phonenumbers.SUPPORTED_REGIONS

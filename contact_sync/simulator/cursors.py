"""Cursors: where a listing goes on, good for 24 hours.

What belongs here: writing and reading them. What lies at a position is the listing's knowledge.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from urllib.parse import urlencode

from contact_sync.simulator.errors import ApiError, Json
from contact_sync.simulator.settings import Clock

LIFE_SECONDS = 24 * 60 * 60


class Cursors:
    """Writes and reads cursors. A cursor is good only for the listing that gave it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def at(self, listing: str, position: int) -> str:
        """Return a cursor for `position` of `listing`."""
        content = json.dumps([listing, position, self._clock()])
        return base64.urlsafe_b64encode(content.encode()).decode()

    def position(self, listing: str, cursor: str) -> int:
        """Return where `cursor` points.

        Raises:
            ApiError: 422 when it is not one of this listing, or has expired.
        """
        try:
            given, position, issued = json.loads(base64.urlsafe_b64decode(cursor))
        except (binascii.Error, ValueError, TypeError):
            given, position, issued = "", 0, 0.0
        if given != listing or not isinstance(position, int) or self._clock() - issued > LIFE_SECONDS:
            message = "User supplied an invalid entity or an invalid/expired cursor"
            raise ApiError(422, "unprocessable.entity", message)
        return position

    def links(self, listing: str, path: str, position: int | None, query: Mapping[str, str] | None = None) -> Json:
        """Return `cursors` and `nextUri` of a page, or nothing after the last page."""
        if position is None:
            return {}
        after = self.at(listing, position)
        following = urlencode({**(query or {}), "cursor": after})
        return {"cursors": {"after": after}, "nextUri": f"{path}?{following}"}

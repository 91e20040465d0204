"""Faults: what can be made to go wrong with the twin, and how often.

What belongs here: the description, the same in settings, Python and JSON. Which request is hit is for the injector
to draw.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Chance = Literal[
    "refused",
    "token_revoked",
    "throttled",
    "server_error",
    "server_error_done",
    "lost",
    "reset",
    "drip",
    "item_error",
    "item_error_done",
    "item_refused",
    "token_error",
    "token_throttled",
]
"""The faults that hit a share of what passes; the others hold for everything."""
Limit = Literal["max_bulk_items", "max_body_bytes"]
"""The limits that a fault can lower."""

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]


class Faults(BaseModel):
    """What goes wrong: nothing, unless said otherwise.

    Shares are of API requests if nothing else is said; the twin's own `/_twin/...` is never hit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    seed: int = 0
    """Seed of the random choices: equal faults and equal requests in equal order go wrong equally."""
    at_most: Mapping[Chance, Count] = Field(default_factory=dict)
    """How often a fault may hit, counted from when it was set; one that is not named has no bound."""
    for_seconds: Mapping[Chance, Seconds] = Field(default_factory=dict)
    """How long a fault lasts from when it was set: a storm, an outage; one that is not named does not end."""

    # The connection.
    latency_seconds: Seconds = 0.0
    """Added to every answer; other requests are served meanwhile."""
    refused: Share = 0.0
    """Closed before any work is done, and not counted as requests."""
    lost: Share = 0.0
    """Done, then closed without a byte of answer."""
    reset: Share = 0.0
    """Done, then reset (TCP RST) in the middle of the answer's body."""
    drip: Share = 0.0
    """Answered in small pieces, one byte each unless the body is long."""
    drip_seconds: Seconds = 1.0
    """How long a dripping answer takes."""

    # The answer.
    throttled: Share = 0.0
    """Answered 429 with nothing done and nothing spent of the budget."""
    retry_after: Count | None = 1
    """Seconds in the Retry-After of those; None leaves the header out."""
    server_error: Share = 0.0
    """Answered with a 5xx, nothing done."""
    server_error_done: Share = 0.0
    """Answered with a 5xx after the work was done."""
    server_error_status: Literal[500, 502, 503, 504] = 503
    """The status of every 5xx, the token endpoint's too."""
    server_error_html: bool = False
    """Whether a 5xx is a gateway's HTML page instead of Genesys' JSON."""
    token_revoked: Share = 0.0
    """Their token is revoked before they are looked at: 401."""

    # Items of bulk requests.
    item_error: Share = 0.0
    """Share of items that are not done and reported as a failure that may be retried."""
    item_error_done: Share = 0.0
    """Share of items that are done, yet reported as such a failure."""
    item_error_status: Literal[429, 500, 502, 503, 504] = 503
    """The status of those items."""
    item_refused: Share = 0.0
    """Share of entities that are refused for good: the same ones every time."""

    # What the twin knows and takes.
    index_lag_seconds: Seconds = 0.0
    """How far search and reverse lookup lag behind what is written from now on; reading by id does not."""
    max_bulk_items: Count | None = None
    """Most items of any bulk request, where that is less than usual."""
    max_body_bytes: Count | None = None
    """Largest request body, where that is less than usual."""

    # The token endpoint.
    token_throttled: Share = 0.0
    """Share of token requests answered as Genesys throttles them: 400 invalid_request."""
    token_error: Share = 0.0
    """Share of token requests answered with a 5xx."""


def read(text: bytes) -> Faults:
    """Return the faults that a JSON object describes.

    Raises:
        ValueError: It is none, or has an unknown name or a bad value; the message is one line.
    """
    try:
        return Faults.model_validate_json(text)
    except ValidationError as error:
        places = ((".".join(map(str, one["loc"])) or "faults", one["msg"]) for one in error.errors())
        raise ValueError("; ".join(f"{place}: {problem}" for place, problem in places)) from None

"""Finding the region that knows an OAuth client, where nobody said which it is.

Nothing tells a client's region but its login host: the home region gives a token, every other one answers "client
not found". So the client's credentials go to the login host of every region that is asked, and to nothing else.
What belongs here: asking, gently. Which regions there are is `regions`', remembering the answer is the caller's.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from contact_sync.genesys.auth import TokenManager, UnknownClientError, WrongSecretError
from contact_sync.genesys.errors import GenesysError, GenesysRetryableError
from contact_sync.genesys.regions import Hosts

AT_ONCE = 4  # login hosts that are asked at the same time
DEADLINE = 10.0  # seconds that one may take to answer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Home:
    """The region, by its domain, that knows the client; `tokens` holds the token that proved it."""

    region: str
    hosts: Hosts
    tokens: TokenManager


def find_home(
    regions: Mapping[str, Hosts],
    client_id: str,
    client_secret: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    deadline: float = DEADLINE,
) -> Home:
    """Ask the login hosts for a token, a few at once, until one knows the client.

    A host that is down, throttled or answers senselessly is skipped, and told of in the log.

    Args:
        regions: Where to ask, by domain.
        client_id: GENESYS_CLIENT_ID.
        client_secret: GENESYS_CLIENT_SECRET.
        clock: Monotonic seconds.
        deadline: Seconds that one host may take.

    Raises:
        WrongSecretError: The region is found, but refuses the secret.
        UnknownClientError: Every region answered, and none knows the client.
        GenesysRetryableError: None of those that answered does; the message names the others.
        GenesysFatalError: A login host refuses the client for another reason, and no region knows it.
    """
    homes = [
        Home(domain, hosts, TokenManager(hosts, client_id, client_secret, clock=clock, deadline=deadline))
        for domain, hosts in regions.items()
    ]
    skipped: dict[str, GenesysError] = {}
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="region")
    try:
        for home, refusal in _answers(pool, homes):
            if refusal is None:
                return home
            if isinstance(refusal, WrongSecretError):
                raise refusal
            if not isinstance(refusal, UnknownClientError):
                skipped[home.region] = refusal
                _log.warning("%s: skipped while looking for the region", refusal)
    finally:
        pool.shutdown(cancel_futures=True)
    raise _nowhere(len(homes), skipped)


def _answers(pool: ThreadPoolExecutor, homes: Sequence[Home]) -> Iterator[tuple[Home, GenesysError | None]]:
    """Yield each region as it answers: None for the one that gave a token."""
    asked = {pool.submit(_refusal, home): home for home in homes}
    for answered in as_completed(asked):
        yield asked[answered], answered.result()


def _refusal(home: Home) -> GenesysError | None:
    try:
        home.tokens.token()
    except GenesysError as error:
        return error
    return None


def _nowhere(count: int, skipped: Mapping[str, GenesysError]) -> GenesysError:
    if any(isinstance(error, GenesysRetryableError) for error in skipped.values()):
        return GenesysRetryableError(
            f"no region that answered knows this client; without an answer: {', '.join(sorted(skipped))}: "
            "try again, or set GENESYS_REGION"
        )
    if skipped:  # a login host that refuses the client for another reason
        return next(iter(skipped.values()))
    return UnknownClientError(
        f"none of the {count} regions knows this client: check GENESYS_CLIENT_ID; a region that is not among them "
        "belongs in genesys.regions in contact_sync.yaml"
    )

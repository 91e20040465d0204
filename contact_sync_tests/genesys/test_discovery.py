import logging
import threading
from collections import deque
from collections.abc import Mapping

import pytest

from contact_sync.genesys.auth import UnknownClientError, WrongSecretError
from contact_sync.genesys.discovery import AT_ONCE, Home, find_home
from contact_sync.genesys.errors import GenesysFatalError, GenesysRetryableError
from contact_sync.genesys.regions import Hosts
from contact_sync_tests.genesys.conftest import SECRET
from contact_sync_tests.genesys.region import NOT_FOUND, WRONG_SECRET, RegionServer, regions
from contact_sync_tests.scripted import HTML, Reply, Seen

NOWHERE = Hosts("http://127.0.0.1:1", "http://127.0.0.1:1")


def find(served: Mapping[str, RegionServer], **more: Hosts) -> Home:
    hosts = {domain: region.hosts for domain, region in served.items()}
    return find_home(hosts | more, "client-id", SECRET, deadline=5)


def test_the_region_that_gives_a_token_is_home_and_its_token_is_kept() -> None:
    with regions(one=None, two="org", three=None) as served:
        home = find(served)
        assert (home.region, home.hosts) == ("two.example", served["two.example"].hosts)
        assert home.tokens.token() == "token-1"
        assert served["two.example"].requests == (1, 0)
        assert all(region.requests[0] <= 1 for region in served.values())


def test_a_wrong_secret_still_tells_the_region() -> None:
    with regions(one=None, two="org") as served:
        served["two.example"].tokens.append(WRONG_SECRET)
        with pytest.raises(
            WrongSecretError, match=r"knows this client but refuses its secret: check GENESYS_CLIENT_S"
        ):
            find(served)


def test_a_client_that_no_region_knows_is_told_so() -> None:
    with regions(one=None, two=None) as served, pytest.raises(UnknownClientError) as refused:
        find(served)
    assert str(refused.value) == (
        "none of the 2 regions knows this client: check GENESYS_CLIENT_ID; a region that is not among them "
        "belongs in genesys.regions in contact_sync.yaml"
    )


def test_a_host_that_is_down_is_skipped_and_told_of(caplog: pytest.LogCaptureFixture) -> None:
    with regions(one="org") as served, caplog.at_level(logging.WARNING, "contact_sync"):
        served["one.example"].tokens.append(Reply(429))
        with pytest.raises(GenesysRetryableError) as failed:
            find(served, **{"down.example": NOWHERE})
        assert str(failed.value) == (
            "no region that answered knows this client; without an answer: down.example, one.example: try again, "
            "or set GENESYS_REGION"
        )
        assert find(served, **{"down.example": NOWHERE}).region == "one.example"
    assert "did not answer POST 127.0.0.1:1/oauth/token (ConnectionError): skipped" in caplog.text
    assert SECRET not in caplog.text


def test_a_host_that_drips_is_given_up_and_the_rest_is_not_asked() -> None:
    with regions(one="org") as served:
        server = served["one.example"]
        server.tokens.append(Reply(200, {"access_token": "first", "expires_in": 600}))
        server.tokens.extend([Reply(200, {"access_token": "never"}, drip=0.1)] * 11)
        table = {f"r{number}.example": server.hosts for number in range(12)}
        home = find_home(table, "client-id", SECRET, deadline=0.3)
        assert home.tokens.token() == "first"
        assert len(server.token_requests) <= AT_ONCE + 1
        server.tokens = deque([Reply(200, {"access_token": "never"}, drip=0.1)])
        with pytest.raises(GenesysRetryableError, match=r"without an answer: slow\.example:"):
            find_home({"slow.example": server.hosts}, "client-id", SECRET, deadline=0.3)


def test_a_few_hosts_are_asked_at_once_and_each_only_once() -> None:
    barrier, lock, asking, most = threading.Barrier(AT_ONCE), threading.Lock(), [0], [0]

    def meet(_seen: Seen) -> Reply:
        with lock:
            asking[0] += 1
            most[0] = max(most[0], asking[0])
        barrier.wait(10)
        with lock:
            asking[0] -= 1
        return NOT_FOUND

    with regions(one=None) as served:
        server = served["one.example"]
        server.tokens.extend([meet] * 2 * AT_ONCE)
        table = {f"r{number}.example": server.hosts for number in range(2 * AT_ONCE)}
        with pytest.raises(UnknownClientError, match=r"^none of the 8 regions"):
            find_home(table, "client-id", SECRET)
        assert len(server.token_requests) == 2 * AT_ONCE
    assert most == [AT_ONCE]


def test_a_host_that_refuses_the_client_for_another_reason_is_told_if_no_other_knows_it() -> None:
    with regions(one="org", two=None) as served:
        one, two = served["one.example"], served["two.example"]
        one.tokens.append(Reply(400, {"error": "unauthorized_client"}))
        with pytest.raises(GenesysFatalError, match=r"refuses this client \(400 unauthorized_client\)"):
            find(served)
        two.tokens.append(Reply(200, b"<html>sign in</html>", HTML))  # a captive portal
        assert find(served).region == "one.example"

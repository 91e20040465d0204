import time
from pathlib import Path

import pytest
import requests

from contact_sync.genesys import wire
from contact_sync.genesys.auth import TokenManager
from contact_sync.genesys.errors import (
    GenesysError,
    GenesysFatalError,
    GenesysRetryableError,
)
from contact_sync.genesys.regions import Hosts
from contact_sync.genesys.transport import Transport
from contact_sync_tests.genesys.conftest import SECRET, Line
from contact_sync_tests.genesys.server import GREETING, ScriptedGenesys
from contact_sync_tests.scripted import HTML, Reply, Seen


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}])
def test_an_answer_that_drips_is_given_up_at_the_deadline(
    server: ScriptedGenesys,
    hosts: Hosts,
    tokens: TokenManager,
    budget: Line,
    session: requests.Session,
    headers: dict[str, str],
) -> None:
    transport = Transport(hosts, tokens, budget, session=session, deadline=0.3, attempts=1)
    server.script.append(Reply(200, {"a": "x" * 500}, headers, drip=0.02))
    began = time.monotonic()
    with pytest.raises(GenesysRetryableError, match=r"within 0.3 s"):
        transport.get("/a")
    assert 0.3 <= time.monotonic() - began < 5.0  # all of it would take ten


def test_silence_is_given_up_at_the_deadline(
    server: ScriptedGenesys, hosts: Hosts, tokens: TokenManager, budget: Line, session: requests.Session
) -> None:
    def silent(_: Seen) -> Reply:
        server.stopping.wait(5)
        return GREETING

    transport = Transport(hosts, tokens, budget, session=session, deadline=0.2, attempts=1)
    server.script.append(silent)
    with pytest.raises(GenesysRetryableError, match="ReadTimeout"):
        transport.get("/a")


def test_an_answer_of_absurd_size_is_refused(
    server: ScriptedGenesys, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MAX_ANSWER", 1_000)
    server.script.append(Reply(200, {"a": "x" * 2_000}))
    with pytest.raises(GenesysFatalError, match="more than 1000 bytes"):
        transport.get("/a")


def test_a_redirect_is_not_followed(server: ScriptedGenesys, transport: Transport) -> None:
    server.script.append(Reply(302, {}, {"Location": f"{server.url}/elsewhere"}))
    with pytest.raises(GenesysFatalError, match=r"302, a redirect, which is not followed$"):
        transport.get("/a")
    assert [seen.path for seen in server.seen] == ["/a"]


@pytest.mark.parametrize("status", [200, 400, 404])
def test_a_web_page_in_place_of_json_is_fatal(server: ScriptedGenesys, transport: Transport, status: int) -> None:
    server.script.append(Reply(status, b"<html>Sign in</html>", HTML))
    with pytest.raises(GenesysFatalError, match="no JSON") as failed:
        transport.get("/a")
    assert "Sign in" not in str(failed.value)
    assert len(server.seen) == 1


def test_a_json_list_in_place_of_an_object_is_fatal(server: ScriptedGenesys, transport: Transport) -> None:
    server.script.append(Reply(200, []))
    with pytest.raises(GenesysFatalError, match="no JSON object"):
        transport.get("/a")


def test_netrc_cannot_replace_the_token(
    server: ScriptedGenesys, transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password wrong\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert requests.utils.get_netrc_auth(server.url) == ("mallory", "wrong")
    server.script.append(GREETING)
    transport.get("/a")
    assert server.seen[0].headers["Authorization"] == "Bearer token-1"
    assert "Basic" in server.token_requests[0].headers["Authorization"]
    assert "bWFsbG9yeT" not in server.token_requests[0].headers["Authorization"]


def test_a_proxy_of_the_environment_is_not_used(
    server: ScriptedGenesys, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    server.script.append(GREETING)
    assert transport.get("/a").ok


def test_nothing_private_shows_in_an_exception(server: ScriptedGenesys, transport: Transport) -> None:
    server.script.append(
        Reply(422, {"code": "Ada Lovelace", "message": "+4930123456"}, {"ININ-Correlation-Id": "a b"})
    )
    with pytest.raises(GenesysError) as refused:
        transport.post("/a", {"firstName": "Ada"})
    shown = f"{refused.value!r} {vars(refused.value)} {transport!r}"
    for private in ("Ada", "+49", "a b", "token-1", SECRET):
        assert private not in shown
    assert refused.value.__context__ is None

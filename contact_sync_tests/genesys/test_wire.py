import pytest

from contact_sync.genesys.errors import GenesysError, GenesysFatalError, GenesysRetryableError
from contact_sync.genesys.transport import Transport
from contact_sync.genesys.wire import error_of
from contact_sync.wire import Failure, TooLarge, Unanswered, Unfinished, Unsendable
from contact_sync_tests.genesys.conftest import SECRET
from contact_sync_tests.genesys.server import ScriptedGenesys
from contact_sync_tests.scripted import HTML, Reply


def test_why_there_is_no_answer_is_told() -> None:
    place, kind = "GET a/b", "SomeError"
    lost: tuple[Failure, ...] = (
        Unsendable(place, kind),
        Unanswered(place, kind),
        Unfinished(place, 200, 0.3),
        TooLarge(place, 200, 1_000),
    )
    assert [(type(one), str(one), one.status) for one in map(error_of, lost)] == [
        (GenesysFatalError, "the request GET a/b cannot be sent (SomeError)", None),
        (GenesysRetryableError, "Genesys did not answer GET a/b (SomeError)", None),
        (GenesysRetryableError, "Genesys did not finish its answer to GET a/b within 0.3 s", 200),
        (GenesysFatalError, "Genesys answered GET a/b with more than 1000 bytes: is the host wrong?", 200),
    ]


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

"""A scripted server that stands for Genesys: its tokens, its errors, and its answers to bulk requests."""

from collections import deque

from contact_sync_tests.scripted import Reply, Script, Scripted, Seen

GREETING = Reply(200, {"hello": "world"})


def error(status: int, code: str, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"status": status, "code": code, "message": "somebody's +4915112345678 is wrong"}, named)


def entities(seen: Seen) -> list[dict[str, object]]:
    """Return the items of a bulk request."""
    items = seen.json["entities"]
    assert isinstance(items, list)
    return items


def done(seen: Seen) -> Reply:
    """Answer a bulk request as Genesys does when every item is new."""
    return Reply(200, {"results": [success(str(item["id"])) for item in entities(seen)]})


def success(tracker: str, status: int = 201) -> dict[str, object]:
    return {"id": tracker, "success": True, "status": status, "entity": {"id": f"contact-of-{tracker}"}}


class ScriptedGenesys(Scripted):
    """Plays `script` on the API, and hands out tokens unless `tokens` says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.otherwise = error(500, "script.is.empty")
        self.tokens: deque[Script] = deque()
        self.token_requests: list[Seen] = []

    def next_script(self, seen: Seen) -> Script:
        if seen.path != "/oauth/token":
            return super().next_script(seen)
        self.token_requests.append(seen)
        return self.tokens.popleft() if self.tokens else self._token()

    def _token(self) -> Reply:
        return Reply(200, {"access_token": f"token-{len(self.token_requests)}", "expires_in": 86_400})

"""The twin as a web application.

What belongs here: which paths there are. `/_twin/...` is the twin's own: no token, no budget, not counted.
"""

from itertools import chain

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from contact_sync.simulator import operations, organization_operations
from contact_sync.simulator.door import Door
from contact_sync.simulator.store import TwinStore


def build_app(store: TwinStore) -> Starlette:
    """Return the application that serves `store`.

    The official SDK's gateway prefixes, `/login` and `/api-gw`, lead to the same operations.
    """
    door = Door(store)
    table = chain(operations.operations(), organization_operations.operations(door))
    api = [Route(one.path, door.endpoint(one), methods=[one.method]) for one in table]
    token = Route("/oauth/token", door.token, methods=["POST"])
    gateway: list[BaseRoute] = [Mount("/login", routes=[token]), Mount("/api-gw", routes=api)]
    return Starlette(
        routes=[token, *_admin(door), *api, *gateway],
        exception_handlers={404: door.unknown, 405: door.unknown},
    )


def _admin(door: Door) -> list[BaseRoute]:
    async def stats(_request: Request) -> Response:
        counted = door.stats
        held = {"contacts": len(door.store.contacts), "organizations": len(door.store.organizations)}
        return JSONResponse(
            {
                "requests": counted.requests,
                "writes": counted.writes,
                "by_operation": dict(counted.by_operation),
                "by_status": dict(counted.by_status),
                "held": held,
            }
        )

    async def reset(_request: Request) -> Response:
        door.stats.reset()
        return JSONResponse({})

    return [
        Route("/_twin/stats", stats, methods=["GET"]),
        Route("/_twin/reset-stats", reset, methods=["POST"]),
    ]

"""The twin as a web application.

What belongs here: which paths there are.
"""

from itertools import chain

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Mount, Route

from contact_sync.simulator import admin, operations, organization_operations
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
        routes=[token, *admin.routes(door), *api, *gateway],
        exception_handlers={404: door.unknown, 405: door.unknown, ClientDisconnect: door.gone},
    )

"""The twin's own paths, `/_twin/...`: no token, no budget, no faults, not counted.

What belongs here: what a person or a test asks of the twin that Genesys would not answer.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from contact_sync.simulator import faults
from contact_sync.simulator.door import Door
from contact_sync.simulator.errors import Json


def routes(door: Door) -> list[Route]:
    """Return the routes: statistics and their reset, and the faults in force."""

    async def stats(_request: Request) -> Response:
        return JSONResponse(_stats(door))

    async def reset(_request: Request) -> Response:
        door.reset_stats()
        return JSONResponse({})

    async def show_faults(_request: Request) -> Response:
        return JSONResponse(door.injector.faults.model_dump())

    async def set_faults(request: Request) -> Response:
        try:
            door.injector.faults = faults.read(await request.body())
        except ValueError as error:
            return JSONResponse({"message": str(error)}, 400)
        return await show_faults(request)

    return [
        Route("/_twin/stats", stats, methods=["GET"]),
        Route("/_twin/reset-stats", reset, methods=["POST"]),
        Route("/_twin/faults", show_faults, methods=["GET"]),
        Route("/_twin/faults", set_faults, methods=["PUT"]),
    ]


def _stats(door: Door) -> Json:
    counted = door.stats
    return {
        "requests": counted.requests,
        "writes": counted.writes,
        "by_operation": counted.by_operation,
        "by_status": counted.by_status,
        "by_client": counted.by_client,
        "budget": door.budget.used(),
        "faults": +door.injector.injected,
        "held": {"contacts": len(door.store.contacts), "organizations": len(door.store.organizations)},
    }

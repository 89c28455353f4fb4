"""The paths of the HTTP way in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any, Final

import orjson
from fastapi import FastAPI, Path, Request, Response
from starlette.exceptions import HTTPException

from tailrace.contract.event_schemas import event_schema
from tailrace.errors import NotFoundError
from tailrace.http import description
from tailrace.http.accepting import Door, Publisher, stamps
from tailrace.http.access import check_caller
from tailrace.http.bodies import BodyLimits, Room, read_events, reserved
from tailrace.http.problems import Problem, on_fault, on_http_error, on_problem
from tailrace.http.readiness import Probe
from tailrace.producer import Ack, Record

JSON: Final = "application/json"
SCHEMA_TYPE: Final = "application/schema+json"
_BEARER: Final = {"bearer": {"type": "http", "scheme": "bearer"}}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the paths need: where events go, who may send them, and what readiness depends on."""

    publisher: Publisher
    token: str | None = None
    probes: tuple[Probe, ...] = ()
    limits: BodyLimits = field(default_factory=BodyLimits)


class _App(FastAPI):
    """Names the token in the description, which the framework does only for its own ways of checking one."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document.setdefault("components", {})["securitySchemes"] = _BEARER
        return document


def create_app(around: Surroundings) -> FastAPI:
    """Make the application; it starts and ends nothing of its own."""
    # No pages of documentation: their scripts would come from other hosts.
    app = _App(title="Tailrace: the HTTP way in", version=version("tailrace"), docs_url=None, redoc_url=None)
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(Exception, on_fault)
    _add_events(app, around)
    _add_health(app, around)
    _add_schemas(app)
    return app


def _add_events(app: FastAPI, around: Surroundings) -> None:
    door, reading = Door(around.publisher), Room(around.limits.reading_max_bytes, "bodies")

    async def records_of(request: Request) -> list[Record]:
        check_caller(request, around.token)
        with reserved(request, around.limits, reading) as allowed:
            return await door.check(await read_events(request, around.limits, allowed))

    async def publish(request: Request) -> Response:
        """Check events, bring all of them into the log or, if one does not fit, none, and say where they are."""
        records = await records_of(request)
        acks = await door.publish(records)
        events = [stamps(record) | _place(ack) for record, ack in zip(records, acks, strict=True)]
        return _json({"events": events}, HTTPStatus.ACCEPTED)

    async def validate(request: Request) -> Response:
        """Check events and say what would be sent, without sending anything."""
        return _json({"events": [stamps(record) for record in await records_of(request)]})

    body = {
        "requestBody": description.request_body(around.limits, description.EXAMPLE),
        "security": [{}, {"bearer": []}],
    }
    answers: tuple[tuple[str, Callable[[Request], Awaitable[Response]], int, bool], ...] = (
        ("/v1/events", publish, HTTPStatus.ACCEPTED, True),
        ("/v1/events:validate", validate, HTTPStatus.OK, False),
    )
    for path, endpoint, status, sent in answers:
        success = {"description": "every event, in the order given", **description.events_document(sent=sent)}
        app.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            status_code=status,
            response_class=Response,
            responses={status: success, **description.POSTED},
            openapi_extra=body,
        )


def _add_health(app: FastAPI, around: Surroundings) -> None:
    @app.get("/livez", response_class=Response, responses={200: {"description": "the process turns"}})
    async def livez() -> Response:
        """Answer while the event loop turns; asks nobody."""
        return Response("ok\n", media_type="text/plain")

    @app.get(
        "/readyz",
        response_class=Response,
        responses={200: {"description": "events can be taken"}, 503: {"description": "they cannot"}},
        openapi_extra={"parameters": [{"name": "verbose", "in": "query", "schema": {"type": "string"}}]},
    )
    async def readyz(request: Request) -> Response:
        """Say whether events can be taken now; with `verbose`, what each dependency says."""
        found = [await probe() for probe in around.probes]
        ready = all(health.ok for health in found if health.critical)
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        if "verbose" not in request.query_params:
            return Response("ok\n" if ready else "not ready\n", status, media_type="text/plain")
        return _json({"ready": ready, "checks": [health.document() for health in found]}, status)


def _add_schemas(app: FastAPI) -> None:
    responses: dict[int | str, dict[str, Any]] = {
        200: {"description": "JSON Schema 2020-12", "content": {SCHEMA_TYPE: {"schema": {"type": "object"}}}},
        404: description.problem("no such type or version"),
    }
    version = {"name": "version", "in": "query", "schema": {"type": "integer"}, "description": "none: the newest"}

    @app.get(
        "/schemas/{type}.json",
        response_class=Response,
        responses=responses,
        openapi_extra={"parameters": [version]},
    )
    async def schema(request: Request, type_: Annotated[str, Path(alias="type")]) -> Response:
        """Give the JSON Schema of a type's events as they are in the log."""
        asked = request.query_params.get("version")
        try:
            document = event_schema(type_, int(asked) if asked else None)
        except (NotFoundError, ValueError):
            raise Problem(HTTPStatus.NOT_FOUND, "E_UNKNOWN_TYPE", "no such type or version") from None
        return Response(orjson.dumps(document), media_type=SCHEMA_TYPE)


def _place(ack: Ack) -> dict[str, Any]:
    return {"partition": ack.partition, "offset": ack.offset, "appended_at": ack.appended_at}


def _json(document: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(orjson.dumps(document, option=orjson.OPT_UTC_Z), status, media_type=JSON)

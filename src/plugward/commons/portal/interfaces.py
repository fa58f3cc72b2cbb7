"""Interfaces 接口: operations by JSON, their descriptions, metrics, health."""

import json
import logging

import msgspec

from plugward.kernel.codec import to_json
from plugward.kernel.dispatch import envelope_for
from plugward.kernel.envelope import Envelope
from plugward.kernel.observe.prometheus import KIND, Gauge, exposition
from plugward.kernel.refusals import Unavailable
from plugward.kernel.runtime import Runtime

from .edge import decode, openapi
from .http import HttpError, Request, Response, json_answer
from .table import Table, elsewhere_of

_log = logging.getLogger("plugward.portal")
REPORT_BYTES_MAX = 16_384
VERSION = "v1"
DIGITS_MAX = 9
PARTS = 3  # board, version, operation


class Interfaces:
    """Everything that is not for people to look at."""

    open_paths = frozenset({"/health", "/portal/csp"})

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def call(self, table: Table, request: Request) -> Response:
        """``POST /api/{board}/v1/{operation}``, through the one dispatch path."""
        parts = request.path.split("/")[2:]
        board, version, name = parts if len(parts) == PARTS else ("", "", "")
        guest = table.guest(board, name) if version == VERSION else None
        operation = table.operation(board, name) if version == VERSION else None
        if operation is None and guest is None:
            if board in self._runtime.declared and not self._runtime.dispatcher.reaches(board):
                raise Unavailable(board, "unplugged")  # it starts, or moves: ask again
            raise HttpError(404, "not-found")
        if request.method != "POST":
            raise HttpError(405, "method")
        request.route = f"api {board}.{name}"
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HttpError(415, "json-expected")
        body = await request.body()
        if operation is None:
            answer = await elsewhere_of(table, board).json(name, body)
            return Response(answer, kind="application/json")
        arguments = decode(operation, body)
        envelope = _hurried(envelope_for(operation, arguments, "edge"), request)
        call = self._runtime.dispatcher.call_for_bytes
        answer = await call(operation, arguments, envelope, to_json)
        return Response(answer, kind="application/json")

    async def open(self, request: Request) -> Response:
        """What anybody may ask: that we are there, and nothing else; and browsers' reports."""
        request.route = request.path
        if request.path == "/health":
            return json_answer({"status": "ok"})
        return await self.policy_report(request)

    def described(self, table: Table, request: Request) -> Response:
        """OpenAPI documents and metrics."""
        if request.path == "/metrics":
            return Response(self._metrics(table), kind=KIND)
        guests = {name: told for name, told in table.guests() if told}
        if request.path == "/openapi.json":
            names = [*(contract.name for _, contract in table.contracts()), *guests]
            return json_answer({"interfaces": {name: f"/openapi/{name}.json" for name in names}})
        name = request.path.removeprefix("/openapi/").removesuffix(".json")
        if name in guests:
            return Response(guests[name], kind="application/json")
        for plugged, contract in table.contracts():
            if contract.name == name:
                manifest = plugged.board.manifest
                return Response(
                    openapi(contract, f"{manifest.title_en} {manifest.title}", manifest.version),
                    kind="application/json",
                )
        raise HttpError(404, "not-found")

    async def policy_report(self, request: Request) -> Response:
        """A browser says that a page tried what the content policy forbids: ours is at fault."""
        if request.method != "POST":
            raise HttpError(405, "method")
        body = await request.body(bytes_max=REPORT_BYTES_MAX)
        try:
            report = json.loads(body).get("csp-report", {})
            directive = str(report.get("effective-directive") or report.get("violated-directive"))
        except (ValueError, AttributeError):
            directive = "unreadable"
        self._runtime.meters.count("portal.policy-report", 0.0, "report")
        _log.warning("content policy broken: %s", directive[:40].split(" ")[0])
        return Response(status=204, kind="")

    def _metrics(self, table: Table) -> str:
        """Counters and times of every operation, in the Prometheus text format."""
        waiting = {
            name: sum(c.lag for c in part.consumers.values())
            for name, part in table.plugged.items()
        }
        gauges = (
            Gauge(
                "plugward_board_up", "Whether it is plugged in.", "board", dict.fromkeys(waiting, 1)
            ),
            Gauge("plugward_events_waiting", "Facts not yet dealt with.", "board", waiting),
        )
        return exposition(self._runtime.meters, gauges)


def _hurried(envelope: Envelope, request: Request) -> Envelope:
    """The caller's own remaining time, where it says it and it is the shorter."""
    said = request.headers.get("x-deadline-ms", "")
    if not said.isdecimal() or len(said) > DIGITS_MAX:
        return envelope
    return msgspec.structs.replace(envelope, deadline_ms=min(envelope.deadline_ms, int(said)))

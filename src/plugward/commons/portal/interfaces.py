"""Interfaces 接口: operations by JSON, their descriptions, metrics, health."""

import json
import logging

from plugward.kernel.codec import to_json
from plugward.kernel.dispatch import envelope_for
from plugward.kernel.runtime import Runtime

from .edge import decode, openapi
from .http import HttpError, Request, Response, json_answer
from .table import Table

_log = logging.getLogger("plugward.portal")
REPORT_BYTES_MAX = 16_384
VERSION = "v1"
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
        operation = table.operation(board, name) if version == VERSION else None
        if operation is None:
            raise HttpError(404, "not-found")
        if request.method != "POST":
            raise HttpError(405, "method")
        request.route = f"api {operation.full_name}"
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HttpError(415, "json-expected")
        arguments = decode(operation, await request.body())
        envelope = envelope_for(operation, arguments, "edge")
        answer = await self._runtime.dispatcher.call(operation, arguments, envelope)
        return Response(to_json(answer), kind="application/json")

    async def open(self, request: Request) -> Response:
        """What anybody may ask: that we are there, and nothing else; and browsers' reports."""
        request.route = request.path
        if request.path == "/health":
            return json_answer({"status": "ok"})
        return await self.policy_report(request)

    def described(self, table: Table, request: Request) -> Response:
        """OpenAPI documents and metrics."""
        if request.path == "/metrics":
            return Response(self._metrics(table), kind="text/plain; version=0.0.4; charset=utf-8")
        if request.path == "/openapi.json":
            return json_answer(
                {
                    "interfaces": {
                        contract.name: f"/openapi/{contract.name}.json"
                        for _, contract in table.contracts()
                    }
                }
            )
        name = request.path.removeprefix("/openapi/").removesuffix(".json")
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
        lines = [
            "# HELP plugward_calls_total Calls of an operation by outcome.",
            "# TYPE plugward_calls_total counter",
        ]
        meters = sorted(self._runtime.meters.by_operation.items())
        for name, meter in meters:
            lines += [
                f'plugward_calls_total{{operation="{name}",outcome="{outcome}"}} {count}'
                for outcome, count in sorted(meter.outcomes.items())
            ]
        lines += [
            "# HELP plugward_call_seconds Time of an operation.",
            "# TYPE plugward_call_seconds summary",
        ]
        for name, meter in meters:
            for share in (0.5, 0.95, 0.99):
                found = meter.quantile_ms(share)
                if found is not None:
                    lines.append(
                        f'plugward_call_seconds{{operation="{name}",quantile="{share}"}} '
                        f"{found / 1000:.6f}"
                    )
            lines.append(f'plugward_call_seconds_sum{{operation="{name}"}} {meter.total_s:.6f}')
            lines.append(f'plugward_call_seconds_count{{operation="{name}"}} {meter.calls}')
        lines += [
            "# HELP plugward_board_up Whether a board is plugged in.",
            "# TYPE plugward_board_up gauge",
            *(f'plugward_board_up{{board="{name}"}} 1' for name in sorted(table.plugged)),
            "# HELP plugward_events_waiting Facts known and not yet dealt with.",
            "# TYPE plugward_events_waiting gauge",
            *(
                f'plugward_events_waiting{{board="{name}"}} '
                f"{sum(c.lag for c in part.consumers.values())}"
                for name, part in sorted(table.plugged.items())
            ),
        ]
        return "\n".join(lines) + "\n"

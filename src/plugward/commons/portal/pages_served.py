"""Pages served 页面: runs a board's page and turns what it returns into an answer."""

import json
import time
from decimal import Decimal
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from markupsafe import Markup

from plugward.kernel.codec import convert
from plugward.kernel.elsewhere import (
    Asked,
    OperationTold,
    PlaceTold,
    Rendered,
    SlotTold,
    ViewerTold,
)
from plugward.kernel.pages import Action, Download, Go, Grid, Page, Place, View, Viewer
from plugward.kernel.refusals import BadRequest, NotAllowed
from plugward.kernel.runtime import Runtime

from .door import Visit
from .frame import Framer
from .http import HttpError, Request, Response, local, redirect
from .rendering import Scene
from .running import call_page, runs_elsewhere, within
from .table import Route, Table, cell, elsewhere_of

SAID = "plugward-said"
GRID_ACTION = "/portal/do/"


class PagesServed:
    """The catch-all route over the table of pages."""

    def __init__(self, runtime: Runtime, framer: Framer, *, page_s: float) -> None:
        self._runtime = runtime
        self._framer = framer
        self._page_s = page_s

    async def answer(
        self,
        table: Table,
        request: Request,
        visit: Visit,
        viewer: Viewer,
        form: dict[str, list[str]],
    ) -> Response:
        """A page, an action, or 404."""
        if request.path.startswith(GRID_ACTION) and request.method == "POST":
            return await self._do(table, request, form)
        found = table.find(request.method, request.path)
        if found is None:
            other = "POST" if request.method != "POST" else "GET"
            raise HttpError(405 if table.find(other, request.path) else 404, "not-found")
        route, parameters = found
        page = route.page
        request.route = f"page {page.path}"
        if page.permission not in viewer.permissions:
            raise NotAllowed(permission=page.permission)
        given = form if request.method == "POST" else request.values()
        given = {name: values for name, values in given.items() if not name.startswith("_")}
        given |= {name: [unquote(value)] for name, value in parameters.items()}
        scene = self._framer.scene(table, route.board, visit, viewer)

        elsewhere = runs_elsewhere(route.plugged, page)

        async def run() -> Response:
            if elsewhere is not None:
                made: Any = await elsewhere.page(_asked(request, viewer, given, scene))
            else:
                made = await call_page(self._runtime, route.plugged, page, viewer, given)
            return self._made(table, route, scene, request, made)

        started, outcome = time.perf_counter(), "failed"
        try:
            answer = await within(self._page_s, run, board=route.board)
            outcome = "ok"
        finally:
            self._runtime.meters.count("portal.page", time.perf_counter() - started, outcome)
        return answer

    def _made(
        self, table: Table, route: Route, scene: Scene, request: Request, made: Any
    ) -> Response:
        if isinstance(made, Rendered):
            if made.file is not None:
                made = Download(made.file.name, made.file.content, made.file.kind)
            elif made.to:
                made = Go(made.to, made.said)
            else:
                body = Markup(made.html)  # noqa: S704 - made by the board's own escaping templates
                return self._document(table, route.page, scene, request, body, made.status)
        if isinstance(made, Go):
            return _go(request, made)
        if isinstance(made, View):
            template = made.template if "/" in made.template else f"{route.board}/{made.template}"
            body = table.renderer.render(template, made.values, scene)
            return self._document(table, route.page, scene, request, body, made.status)
        if isinstance(made, Grid):
            body = table.renderer.render("portal/grid.html", grid_values(made, route.page), scene)
            return self._document(table, route.page, scene, request, body, 200)
        if isinstance(made, Download):
            return _file(made)
        raise TypeError(f"{route.page.path} returned {type(made).__name__}")

    def _document(
        self,
        table: Table,
        page: Page,
        scene: Scene,
        request: Request,
        body: Markup,
        status: int,
    ) -> Response:
        """The work area alone for htmx and for panels, in its frame for a whole page."""
        if request.is_htmx or page.method == "POST" or page.place is Place.SLOT:
            return Response(body, status=status)
        said = unquote(request.cookies.get(SAID, ""))[:200]
        document = self._framer.framed(table, scene, body, page=page, path=request.path, said=said)
        answer = Response(document, status=status)
        return answer.cookie(SAID, "", seconds=0, secure=False) if said else answer

    async def _do(self, table: Table, request: Request, form: dict[str, list[str]]) -> Response:
        """A button of a plain list: one operation with one argument, the row's id."""
        board, _, name = request.path.removeprefix(GRID_ACTION).partition("/")
        guest = table.guest(board, name)
        operation = guest or table.operation(board, name)
        if operation is None or not operation.is_command or len(operation.parameters) != 1:
            raise HttpError(404, "not-found")
        request.route = f"do {board}.{name}"
        row = (form.get("row") or [""])[0]
        back = request.headers.get("hx-current-url", "")
        there = Go(local("/" + back.partition("//")[2].partition("/")[2]))
        if isinstance(operation, OperationTold):
            body = json.dumps({operation.parameters[0]: row}).encode()
            await elsewhere_of(table, board).json(name, body)
            return _go(request, there)
        try:
            arguments = convert({operation.parameters[0]: row}, operation.request, strict=False)
        except msgspec.ValidationError:
            raise BadRequest(where=operation.parameters[0]) from None
        client: Any = self._runtime.client(table.plugged[board].board.contract.protocol)  # type: ignore[union-attr]  # it has an operation
        await getattr(client, name)(*msgspec.structs.astuple(arguments))
        return _go(request, there)


def _asked(request: Request, viewer: Viewer, given: dict[str, list[str]], scene: Scene) -> Asked:
    """The request, for a page that is made in its board's own process."""
    return Asked(
        method=request.method,
        path=request.path,
        viewer=ViewerTold.of(viewer),
        given=tuple((name, tuple(values)) for name, values in given.items()),
        csrf=scene.csrf,
        slots=tuple(
            SlotTold(slot, page.path, page.title, page.title_en, page.permission)
            for slot, pages in scene.slots.items()
            for page in pages
        ),
        places=tuple(PlaceTold(code, zh, en) for code, (zh, en) in scene.places.items()),
        idle_ms=scene.idle_ms,
    )


def _file(made: Download) -> Response:
    """Saved, never shown: a browser must not take it for a page of ours."""
    answer = Response(made.content, kind=made.kind)
    name = quote(made.name, safe="")
    return answer.header("content-disposition", f"attachment; filename*=UTF-8''{name}")


def _go(request: Request, go: Go) -> Response:
    """To another page; the same page is swapped in place, so that nothing flickers."""
    to = local(go.to)
    said = quote(go.said[:200])
    if not request.is_htmx:
        answer = redirect(to)
    else:
        answer = Response(status=200, kind="")
        current = request.headers.get("hx-current-url", "").partition("//")[2]
        current = "/" + current.partition("/")[2].partition("?")[0]
        if current == to.partition("?")[0]:
            place = {"path": to, "target": "#main", "swap": "outerHTML"}
            answer.header("hx-location", json.dumps(place))
            if said:
                told = {"plugward:said": go.said[:200]}
                answer.header("hx-trigger", json.dumps(told))
            return answer
        answer.header("hx-redirect", to)
    return answer.cookie(SAID, said, seconds=30, secure=False) if said else answer


class _Cell(msgspec.Struct):
    text: Any
    number: bool


class _Button(msgspec.Struct):
    title: str
    url: str
    row: dict[str, str]


class _Row(msgspec.Struct):
    cells: list[_Cell]
    actions: list[_Button]


def grid_values(grid: Grid, page: Page) -> dict[str, Any]:
    """The values of the plain list's template."""
    rows = []
    for row in grid.rows:
        values = [getattr(row, column.field, None) for column in grid.columns]
        rows.append(
            _Row(
                [_Cell(cell(v), _is_number(v)) for v in values],
                [
                    _Button(action.title, _do_path(action), {"row": str(row.id)})
                    for action in grid.actions
                    if not action.when or getattr(row, "state", None) in action.when
                ],
            )
        )
    return {
        "page_title": page.title,
        "page_title_en": page.title_en,
        "columns": grid.columns,
        "rows": rows,
        "has_actions": bool(grid.actions),
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _do_path(action: Action) -> str:
    operation = action.operation.__operation__
    return f"{GRID_ACTION}{operation.board}/{operation.name}"

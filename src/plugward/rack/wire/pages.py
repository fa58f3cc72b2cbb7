"""Pages 页面: a board's pages, run and rendered in its own process, for the portal."""

from collections.abc import Callable
from urllib.parse import unquote

import msgspec

from plugward.commons.portal.pages_served import grid_values
from plugward.commons.portal.rendering import Renderer, Scene
from plugward.commons.portal.running import call_home, call_page
from plugward.commons.portal.table import Route, parts_of
from plugward.commons.portal.words import Words
from plugward.kernel.elsewhere import Asked, FileTold, Rendered, SlotTold
from plugward.kernel.pages import Download, Go, Grid, Home, HomePart, Page, View, Viewer
from plugward.kernel.plugged import Plugged
from plugward.kernel.refusals import NotFound
from plugward.kernel.runtime import Runtime

May = Callable[[str, Viewer], None]


class Rendering:
    """The templates of one board, compiled when its first page is asked for."""

    def __init__(self, runtime: Runtime, plugged: Plugged) -> None:
        self._runtime = runtime
        self._plugged = plugged
        self._words = Words([plugged.board])
        self._renderer = Renderer((plugged.board,), self._words)
        self._routes = [Route(plugged, page, parts_of(page.path)) for page in plugged.board.pages]

    async def home(self, part: HomePart, viewer: Viewer) -> Home:
        home: Home = await call_home(self._runtime, self._plugged, part, viewer)
        return home

    async def page(self, asked: Asked, may: May) -> Rendered:
        """Run it for the viewer, who must have its right."""
        page, parameters = self._found(asked)
        viewer = asked.viewer.viewer()
        may(page.permission, viewer)
        given = {name: list(values) for name, values in asked.given}
        given |= {name: [unquote(value)] for name, value in parameters.items()}
        made = await call_page(self._runtime, self._plugged, page, viewer, given)
        if isinstance(made, Go):
            return Rendered(to=made.to, said=made.said)
        scene = self._scene(asked, viewer)
        if isinstance(made, View):
            name = self._plugged.board.name
            template = made.template if "/" in made.template else f"{name}/{made.template}"
            return Rendered(str(self._renderer.render(template, made.values, scene)), made.status)
        if isinstance(made, Grid):
            values = grid_values(made, page)
            return Rendered(str(self._renderer.render("portal/grid.html", values, scene)))
        if isinstance(made, Download):
            return Rendered(file=FileTold(made.name, made.kind, made.content))
        raise TypeError(f"{page.path} returned {type(made).__name__}")

    def _found(self, asked: Asked) -> tuple[Page, dict[str, str]]:
        """Pages with fewer parameters first, as in the portal's own table."""
        parts = parts_of(asked.path)
        method = "GET" if asked.method == "HEAD" else asked.method
        for route in sorted(self._routes, key=lambda r: sum(p.startswith("{") for p in r.parts)):
            if route.page.method == method and len(route.parts) == len(parts):
                found = route.match(parts)
                if found is not None:
                    return route.page, found
        raise NotFound

    def _scene(self, asked: Asked, viewer: Viewer) -> Scene:
        slots: dict[str, tuple[Page, ...]] = {}
        for slot in asked.slots:
            slots[slot.slot] = (*slots.get(slot.slot, ()), _as_page(slot))
        return Scene(
            board=self._plugged.board.name,
            language=viewer.language,
            now=viewer.now,
            words=self._words,
            viewer=viewer,
            csrf=asked.csrf,
            slots=slots,
            places={place.code: (place.zh, place.en) for place in asked.places},
            idle_ms=asked.idle_ms,
        )


def _as_page(slot: SlotTold) -> Page:
    """Another board's panel: all that a template asks of it."""
    told = msgspec.structs.asdict(slot)
    return Page(
        path=told["path"],
        title=told["title"],
        title_en=told["title_en"],
        permission=told["permission"],
        function=_elsewhere,
        parameters={},
        defaults={},
        method="GET",
        place=told["place"],
        icon="square",
        order=0,
        keys=(),
        slot=told["slot"],
        freshness_s=None,
        theme="light",
    )


async def _elsewhere() -> None:
    raise NotFound

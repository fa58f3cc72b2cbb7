"""Running 执行: a page function with its parameters, its person, its time and its record."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from plugward.kernel.contracts import is_contract
from plugward.kernel.elsewhere import Elsewhere, Guest
from plugward.kernel.envelope import current_call
from plugward.kernel.manifest import Settings
from plugward.kernel.outside import Outside
from plugward.kernel.pages import HomePart, Page, Viewer
from plugward.kernel.plugged import Plugged
from plugward.kernel.refusals import Fault, Refusal, Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.store import Store
from plugward.kit.time import Clock

from .arguments import convert
from .http import Gone, HttpError

T = TypeVar("T")
PASSING = (Refusal, Unavailable, Fault, HttpError, Gone)  # answers, or nobody left to hear one
_GIVEN = frozenset({Runtime, Settings, Store, Clock, Outside})
_log = logging.getLogger("plugward.portal")


async def call_page(
    runtime: Runtime, plugged: Plugged, page: Page, viewer: Viewer, given: dict[str, list[str]]
) -> Any:
    """Fill in the parameters by type and run the page."""
    arguments, values = _injected(runtime, plugged, page.parameters, viewer)
    arguments |= convert(values, page.defaults, given, strict=page.method == "POST")
    return await page.function(**arguments)


def runs_elsewhere(plugged: Plugged, part: Page | HomePart) -> Elsewhere | None:
    """Where a page must be asked: its code is there, or something that only its process has."""
    if plugged.elsewhere is None or plugged.service is not None:
        return None
    own = {plugged.board.service, Store, Settings}
    needs_own = any(kind in own for kind in part.parameters.values() if isinstance(kind, type))
    return plugged.elsewhere if needs_own or isinstance(plugged.board, Guest) else None


async def call_home(runtime: Runtime, plugged: Plugged, part: HomePart, viewer: Viewer) -> Any:
    """One board's part of the home page."""
    elsewhere = runs_elsewhere(plugged, part)
    if elsewhere is not None:
        return await elsewhere.home(plugged.board.home.index(part), viewer)
    arguments, _ = _injected(runtime, plugged, part.parameters, viewer)
    return await part.function(**arguments)


def _injected(
    runtime: Runtime, plugged: Plugged, parameters: dict[str, Any], viewer: Viewer
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters that the runtime knows, and the kinds of those that the request brings."""
    known: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for name, kind in parameters.items():
        if kind is Viewer:
            known[name] = viewer
        elif is_contract(kind) or _is_part(plugged, kind):
            known |= runtime.inject(plugged, {name: kind})
        else:
            values[name] = kind
    return known, values


def _is_part(plugged: Plugged, kind: Any) -> bool:
    """The board's own service, or one of the things the runtime gives to services."""
    service = plugged.board.service
    if kind is service or kind in _GIVEN:
        return True
    return (
        isinstance(kind, type) and plugged.service is not None and isinstance(plugged.service, kind)
    )


async def within(seconds: float, work: Callable[[], Awaitable[T]], *, board: str) -> T:
    """Run ``work`` for so long at most. What ends otherwise than a refusal becomes a ``Fault``.

    The work runs as a task of its own, so a client that leaves does not tear it in half.
    """
    task = asyncio.ensure_future(_started(work))
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        raise Unavailable(board, "time-out")
    return outcome(task, board)


async def _started(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


def outcome(task: "asyncio.Task[T]", board: str) -> T:
    """What a finished task has to say; foreign errors are logged by kind and hidden."""
    error = task.exception() if not task.cancelled() else Unavailable(board, "time-out")
    if error is None:
        return task.result()
    if isinstance(error, PASSING):
        raise error
    if isinstance(error, TimeoutError):
        raise Unavailable(board, "time-out") from error
    call = current_call()
    trace = call.envelope.trace if call else ""
    # The type and the place, never the text: it may name a patient.
    safe = RuntimeError(f"{type(error).__name__} (text withheld)")
    _log.error(
        "fault in a page of %s: %s",
        board,
        type(error).__name__,
        extra={"trace": trace},
        exc_info=(type(safe), safe, error.__traceback__),
    )
    raise Fault(trace) from error


async def all_within(
    seconds: float, works: Iterable[tuple[str, Callable[[], Awaitable[T]]]]
) -> dict[str, T | None]:
    """Run several at once; whoever fails or is late answers None and delays nobody."""
    tasks = {asyncio.ensure_future(_started(work)): name for name, work in works}
    if not tasks:
        return {}
    done, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    found: dict[str, T | None] = {}
    for task, name in tasks.items():
        found[name] = None
        if task in done:
            try:
                found[name] = outcome(task, name)
            except (Refusal, Unavailable, Fault):
                continue
    return found

"""Standing 现状: how the boards of a rack are, from the processes that run them."""

from collections.abc import Iterable, Mapping

from ..control.embedded import rss_of
from ..control.words import BoardStatus
from .child import Child
from .plan import Seat


def standing(
    children: Iterable[tuple[Seat, Child]], used: Mapping[str, int]
) -> tuple[BoardStatus, ...]:
    """Every board that should run. ``used`` counts each process's connections to the server."""
    by_board: dict[str, list[tuple[Seat, Child]]] = {}
    for seat, child in children:
        for board in seat.boards:
            by_board.setdefault(board, []).append((seat, child))
    return tuple(_board(name, copies, used) for name, copies in by_board.items())


def _board(name: str, copies: list[tuple[Seat, Child]], used: Mapping[str, int]) -> BoardStatus:
    children = [child for _, child in copies]
    ready = [child.ready for child in children if child.ready is not None]
    sick = [child.why for child in children if not child.healthy]
    return BoardStatus(
        name=name,
        version=ready[0].boards.get(name, "") if ready else "",
        pids=tuple(child.pid for child in children if child.pid),
        replicas=len(children),
        healthy=not sick,
        why="; ".join(why for why in sick if why),
        rss_bytes=sum(rss_of(child.pid) for child in children if child.pid),
        connections=sum(used.get(seat.label, 0) for seat, _ in copies),
        reacts=next((r.pid for r in children if r.ready and r.ready.reacting), 0),
        group=copies[0][0].name,
    )

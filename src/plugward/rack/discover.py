"""Discovery 发现: built-in and installed boards are found the same way, by entry point."""

import logging
from importlib.metadata import EntryPoint, entry_points

import msgspec

from plugward.kernel.board import Board, load_board

GROUP = "plugward.boards"
_log = logging.getLogger("plugward.rack")


class Found(msgspec.Struct, frozen=True):
    """The boards that could be loaded, and the others with the reason in one sentence."""

    boards: tuple[Board, ...]
    broken: dict[str, str]


def board_entries() -> dict[str, EntryPoint]:
    """Every installed board by name. An environment of its own comes before the rack's."""
    return {entry.name: entry for entry in reversed(tuple(entry_points(group=GROUP)))}


def discover(without: frozenset[str] = frozenset()) -> Found:
    """Load every installed board but these. One that cannot be loaded keeps no other out."""
    boards, broken = [], {}
    for name, entry in sorted(board_entries().items()):
        if name in without:
            continue
        try:
            boards.append(load_board(entry.value))
        except (ImportError, TypeError, ValueError, AttributeError) as error:
            broken[name] = f"{type(error).__name__}: {error}"
            _log.error("board %s could not be loaded: %s", name, broken[name])
    return Found(tuple(boards), broken)

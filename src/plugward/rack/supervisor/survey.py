"""The survey 清点: what is installed, in order of need. Run apart: it loads every board once."""

import asyncio
import sys

import msgspec

from plugward.kernel.board import Board
from plugward.kernel.plugged import in_order


class Surveyed(msgspec.Struct, frozen=True):
    """One installed board, as far as the rack must know it. ``hears`` "*" is everybody."""

    name: str
    folder: str
    hears: tuple[str, ...]


class Survey(msgspec.Struct, frozen=True):
    boards: tuple[Surveyed, ...]
    broken: dict[str, str]

    def without(self, name: str) -> "Survey":
        return Survey(tuple(b for b in self.boards if b.name != name), self.broken)

    def with_(self, told: Surveyed) -> "Survey":
        """One more, or another version of one."""
        return Survey((*self.without(told.name).boards, told), self.broken)


class SurveyFailed(Exception):
    """The boards could not even be listed; says why."""


async def survey() -> Survey:
    """Ask a process of its own. Raises ``SurveyFailed``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "plugward.rack.supervisor.survey",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    try:
        return msgspec.json.decode(out, type=Survey)
    except msgspec.DecodeError:
        words = errors.decode("utf-8", "replace").strip().splitlines()
        raise SurveyFailed(words[-1] if words else "no word") from None


def surveyed(board: Board) -> Surveyed:
    """Whom a board hears: named by its reactions, or everybody there is."""
    named = {r.tag.partition(".")[0] for r in board.reactions if r.tag}
    if any(r.carrying is not None for r in board.reactions) or hasattr(board.service, "hears"):
        named = {"*"}
    return Surveyed(board.name, str(board.folder), tuple(sorted(named - {board.name})))


def main() -> None:
    from ..discover import discover  # noqa: PLC0415 - only here every board is loaded

    found = discover()
    told = Survey(tuple(surveyed(board) for board in in_order(found.boards)), found.broken)
    sys.stdout.buffer.write(msgspec.json.encode(told))


if __name__ == "__main__":
    main()

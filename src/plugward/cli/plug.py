"""``plugward plug`` and ``unplug``: boards in and out while patients are being served."""

from pathlib import Path

from rich.console import Console

from plugward.rack.control.client import tell
from plugward.rack.control.words import ActRefused, is_path

REFUSED = 2


def act(
    verb: str,
    board: str,
    data: Path,
    *,
    anyway: bool = False,
    wheels: Path | None = None,
    lock: Path | None = None,
    beside: str = "",
) -> int:
    """0 when it was done, 2 when it was refused, in words."""
    console = Console()

    def say(said: str) -> None:
        console.print(f"  {said}", markup=False, soft_wrap=True)

    if verb == "upgrade" or is_path(board):
        board = str(Path(board).resolve())
    told = [str(path.resolve()) if path is not None else "" for path in (wheels, lock)]
    try:
        answer = tell(
            data, verb, board, anyway=anyway, wheels=told[0], lock=told[1], beside=beside, say=say
        )
    except ActRefused as refused:
        console.print(str(refused), markup=False, soft_wrap=True)
        return REFUSED
    console.print(answer.done, markup=False, soft_wrap=True)
    return 0


def move(board: str, to: str, beside: str, data: Path, *, anyway: bool) -> int:
    """0 when it has moved, 2 when it stays where it is, in words."""
    if to not in ("alone", "together") or (to == "alone" and beside):
        Console().print("Say --to alone, or --to together and, if need be, --with BOARD.")
        return REFUSED
    return act("move", board, data, anyway=anyway, beside=board if to == "alone" else beside)

"""``plugward plug`` and ``unplug``: boards in and out while patients are being served."""

from pathlib import Path

from rich.console import Console

from plugward.rack.control.client import tell
from plugward.rack.control.words import ActRefused

REFUSED = 2


def act(verb: str, board: str, data: Path, *, anyway: bool = False) -> int:
    """0 when it was done, 2 when it was refused, in words."""
    console = Console()

    def say(said: str) -> None:
        console.print(f"  {said}", markup=False, soft_wrap=True)

    try:
        answer = tell(data, verb, board, anyway=anyway, say=say)
    except ActRefused as refused:
        console.print(str(refused), markup=False, soft_wrap=True)
        return REFUSED
    console.print(answer.done, markup=False, soft_wrap=True)
    return 0

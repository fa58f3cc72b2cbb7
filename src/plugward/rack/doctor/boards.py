"""The boards 插板: installed ones load, plugged ones answer."""

from collections.abc import Iterator

from ..control.client import tell
from ..control.words import ActRefused
from ..discover import Found
from ..folder import DataFolder
from .verdict import Verdict, fault, ok, unknown

START = ("启动：plugward up 或 plugward rack up", "start it: plugward up or plugward rack up")


def loaded(found: Found) -> Iterator[Verdict]:
    """Whether every installed board can be loaded."""
    for name, why in found.broken.items():
        yield fault(
            "installed",
            f"插板 {name} 无法加载：{why}",
            f"the board {name} cannot be loaded: {why}",
            do=(f"运行 plugward check {name} 查看原因", f"see why with plugward check {name}"),
        )
    if not found.broken:
        count = len(found.boards)
        yield ok("installed", f"{count} 块插板可加载", f"{count} boards can be loaded")


def answering(folder: DataFolder, *, runs: bool) -> Iterator[Verdict]:
    """Whether every board that is plugged in answers."""
    if not runs:
        yield unknown("boards", "医院没有运行", "the hospital does not run")
        return
    try:
        status = tell(folder.path, "status").status
    except ActRefused as refused:
        yield fault(
            "boards",
            f"医院占着数据目录却不答复：{refused}",
            f"the hospital holds its folder and does not answer: {refused}",
            do=(
                "看日志（logs/），结束该进程后重新启动",
                "read logs/, end that process, start anew",
            ),
        )
        return
    silent = [board for board in status.boards if not board.healthy] if status else []
    for board in silent:
        why = board.why or "no answer"
        yield fault(
            "boards",
            f"插板 {board.name} 没有答复：{why}",
            f"the board {board.name} does not answer: {why}",
            do=(
                f"看 logs/ 中 {board.name} 的日志；plugward unplug 与 plug 可重新插入它",
                f"read the log of {board.name} in logs/; plugward unplug and plug put it in anew",
            ),
        )
    if status and not silent:
        yield ok("boards", f"{len(status.boards)} 块插板都在答复", "every board answers")

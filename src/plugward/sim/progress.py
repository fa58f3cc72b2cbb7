"""Progress 进度: long work says what it does and how far it is."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


class Steps:
    """A bar a step. On a dumb terminal each step is one line."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=2,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, title: str, total: int) -> int:
        """A new step; its number is for ``advance``."""
        return int(self._progress.add_task(title, total=total))

    def advance(self, step: int, by: int = 1) -> None:
        self._progress.advance(self._task(step), by)

    def reach(self, step: int, done: int, title: str | None = None) -> None:
        """The step is at ``done``."""
        if title is None:
            self._progress.update(self._task(step), completed=done)
        else:
            self._progress.update(self._task(step), completed=done, description=title)

    @staticmethod
    def _task(step: int) -> TaskID:
        return TaskID(step)

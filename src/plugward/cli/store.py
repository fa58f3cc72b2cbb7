"""``plugward store copy`` and ``compare``: a hospital's rows between databases, counted."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from plugward.rack.copy.places import CopyRefused, Rows, rows_at, rows_of
from plugward.rack.copy.run import Progress as Report
from plugward.rack.copy.run import Report as Outcome
from plugward.rack.copy.run import compare as compare_rows
from plugward.rack.copy.run import copy as copy_rows
from plugward.rack.copy.run import plan
from plugward.rack.discover import discover
from plugward.rack.folder import DataFolder, FolderError
from plugward.rack.settings import database_lines

DIFFERENT = 1
REFUSED = 2


def copy(
    source: str, target: str, *, owner: str, dry_run: bool, while_running: bool, as_json: bool
) -> int:
    """0 when everything is there and equal, 2 when nothing was moved, in words."""
    console = Console(stderr=as_json)
    try:
        into = rows_at(target, owner)
        with _kept_still(source, while_running=while_running) as rows:
            boards = discover().boards
            if dry_run:
                outcome = plan(rows, into, boards)
            else:
                with _at_rest(target, source), bar(console) as shown:
                    outcome = copy_rows(rows, into, boards, onto(shown, "Copying 搬库"))
    except (CopyRefused, FolderError) as error:
        console.print(str(error), markup=False, soft_wrap=True)
        return REFUSED
    _tell(console, outcome, as_json=as_json, compared=not dry_run)
    if dry_run:
        console.print(f"{outcome.rows:,} rows would move; nothing was written.")
    else:
        console.print(
            f"{outcome.rows:,} rows in {len(outcome.tables)} tables: counted, compared, the same. "
            f"({outcome.seconds:.1f} s)"
        )
        if "://" in target:
            console.print("Now write into plugward.toml, under [hospital]:")
            for line in database_lines(target, owner):
                console.print(f"  {line}", markup=False, soft_wrap=True)
    return 0


def compare(one: str, other: str, *, as_json: bool) -> int:
    """0 when both hold the same rows, 1 when not, 2 when they cannot be read."""
    console = Console(stderr=as_json)
    try:
        with bar(console) as shown:
            outcome = compare_rows(
                _where(one), _where(other), discover().boards, onto(shown, "Comparing 比对")
            )
    except (CopyRefused, FolderError) as error:
        console.print(str(error), markup=False, soft_wrap=True)
        return REFUSED
    _tell(console, outcome, as_json=as_json, compared=True)
    if outcome.different:
        names = ", ".join(table.table for table in outcome.different)
        console.print(f"[red]Different:[/] {names}", soft_wrap=True)
        return DIFFERENT
    console.print(f"{outcome.rows:,} rows in {len(outcome.tables)} tables: the same.")
    return 0


def _where(place: str) -> Rows:
    return rows_at(place) if "://" in place else rows_of(DataFolder(Path(place)))


@contextmanager
def _kept_still(source: str, *, while_running: bool) -> Iterator[Rows]:
    """The source's rows, with its folder locked, so that nobody starts what is being moved."""
    if "://" in source:
        yield rows_at(source)
        return
    folder = DataFolder(Path(source))
    if not folder.exists and not folder.settings().database:
        raise FolderError(f"{source} holds no hospital. Name its data folder, or its database.")
    if while_running:
        yield rows_of(folder)
        return
    try:
        folder.open()
    except FolderError as busy:
        raise FolderError(
            f"{busy}. What is written there after the copy would be missing in it; for a copy of "
            f"one moment all the same, say --while-running."
        ) from None
    try:
        yield rows_of(folder)
    finally:
        folder.close()


@contextmanager
def _at_rest(target: str, source: str) -> Iterator[None]:
    """Nobody may start a hospital in the folder that is being filled."""
    folder = DataFolder(Path(target))
    if "://" in target or folder.path.resolve() == Path(source).resolve():
        yield  # a server's folder is the source's, or there is none
        return
    folder.open()
    try:
        yield
    finally:
        folder.close()


def _tell(console: Console, outcome: Outcome, *, as_json: bool, compared: bool) -> None:
    if as_json:
        told = msgspec.to_builtins(outcome) | {
            "rows": outcome.rows,
            "same": compared and not outcome.different,
        }
        print(json.dumps(told, ensure_ascii=False))  # noqa: T201 - the output
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("board")
    for heading in ("tables", "rows") + (("digests",) if compared else ()):
        table.add_column(heading, justify="right")
    for part in dict.fromkeys(one.part for one in outcome.tables):
        of_part = [one for one in outcome.tables if one.part == part]
        row = [part, str(len(of_part)), f"{sum(one.rows for one in of_part):,}"]
        if compared:
            different = [one.table for one in of_part if not one.same]
            row.append("[red]" + ", ".join(different) + "[/]" if different else "[green]equal[/]")
        table.add_row(*row)
    console.print(table)


@contextmanager
def bar(console: Console) -> Iterator[Progress]:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}  {task.fields[what]}"),
        console=console,
    ) as shown:
        yield shown


def onto(shown: Progress, title: str) -> Report:
    task = shown.add_task(title, what="", total=1)

    def report(what: str, done: int, total: int) -> None:
        shown.update(task, completed=done, total=max(total, 1), what=what)

    return report

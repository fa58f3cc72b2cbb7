"""``plugward rack``: what runs, and how it is."""

import json
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from plugward.rack.control.client import tell
from plugward.rack.control.words import ActRefused, BoardStatus, RackStatus

REFUSED = 2
MB = 1_000_000


def status(data: Path, *, as_json: bool) -> int:
    """0 when every board is healthy, 1 when one is not, 2 when no hospital runs there."""
    console = Console(stderr=as_json)
    try:
        found = tell(data, "status").status
    except ActRefused as refused:
        console.print(str(refused), markup=False, soft_wrap=True)
        return REFUSED
    assert found is not None, "a status was asked for"
    if as_json:
        told = msgspec.to_builtins(found) | {"healthy": found.healthy}
        print(json.dumps(told, ensure_ascii=False))  # noqa: T201 - the output
    else:
        _print(console, found)
    return 0 if found.healthy else 1


def _print(console: Console, found: RackStatus) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("board", "version", "pids"):
        table.add_column(heading)
    for heading in ("replicas", "MB", "connections"):
        table.add_column(heading, justify="right")
    table.add_column("healthy")
    for board in found.boards:
        table.add_row(*_row(board))
    console.print(table)
    if found.unplugged:
        console.print("unplugged: " + ", ".join(found.unplugged), markup=False)
    if found.connections_budget:
        used = sum({b.pids: b.connections for b in found.boards}.values())
        console.print(f"connections: {used} of {found.connections_budget} for each server")


def _row(board: BoardStatus) -> tuple[str, ...]:
    return (
        board.name,
        board.version,
        " ".join(map(str, board.pids)),
        str(board.replicas),
        f"{board.rss_bytes / MB:.0f}",
        str(board.connections or "–"),
        "yes" if board.healthy else f"[red]no[/] {board.why}",
    )

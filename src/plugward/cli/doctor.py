"""``plugward doctor``: what is wrong with a hospital, in words, and what to do next."""

import json
from pathlib import Path

import msgspec
from rich.console import Console

from plugward.rack.doctor import State, Verdict, Wanted, examine
from plugward.rack.folder import DataFolder

LOOK = {
    State.OK: "[green]✓[/]",
    State.WARNING: "[yellow]![/]",
    State.FAULT: "[red]✗[/]",
    State.UNKNOWN: "[dim]·[/]",
}


def doctor(data: Path, *, wanted: Wanted, as_json: bool) -> int:
    """0 when nothing is wrong, 1 on a fault."""
    verdicts = examine(DataFolder(data), wanted)
    faults = sum(verdict.state is State.FAULT for verdict in verdicts)
    if as_json:
        told = {"faults": faults, "verdicts": msgspec.to_builtins(verdicts)}
        print(json.dumps(told, ensure_ascii=False))  # noqa: T201 - the output
    else:
        _print(verdicts, faults)
    return 1 if faults else 0


def _print(verdicts: tuple[Verdict, ...], faults: int) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for verdict in verdicts:
        console.print(LOOK[verdict.state], end=" ")
        console.print(f"{verdict.id}: {verdict.zh} / {verdict.en}", markup=False)
        if verdict.do_zh:
            console.print(f"    → {verdict.do_zh}\n    → {verdict.do_en}", markup=False)
    console.print(f"{faults} 处故障 / {faults} faults" if faults else "一切正常 / nothing is wrong")

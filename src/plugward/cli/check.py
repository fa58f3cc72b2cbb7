"""``plugward check``: hold boards to the rules every board promises to keep."""

import importlib
import importlib.util
import json as jsons
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plugward.kernel.board import Board, load_board
from plugward.kernel.check.findings import Finding, Report
from plugward.kernel.check.run import check_board, check_manifests
from plugward.kernel.check.schema import write_schema
from plugward.rack.discover import board_entries, discover

_UNUSABLE = 2
WIDTH_MIN = 110  # a table cut off in a log tells nothing


def check(board: str | None, *, as_json: bool, manifests: bool, export: bool = False) -> int:
    """0 when everything holds, 1 with findings, 2 when a board cannot be loaded."""
    console = Console(stderr=as_json, soft_wrap=True)
    console.width = max(console.width, WIDTH_MIN)
    if manifests:
        return _manifests(console, board, as_json=as_json)
    found = discover()
    others = list(found.boards)
    broken = dict(found.broken)
    chosen = others
    if board is not None:
        loaded = _load(console, board, others, broken)
        if loaded is None:
            return _UNUSABLE
        chosen, broken = [loaded], {}
    if export:
        return _export(console, chosen)
    reports = [check_board(each, others) for each in chosen]
    if as_json:
        told = {"boards": msgspec.to_builtins(reports), "broken": broken}
        print(jsons.dumps(told, ensure_ascii=False))  # noqa: T201 - the output
    else:
        _print(console, reports, broken, notes=board is not None)
    if broken:
        return _UNUSABLE
    return 0 if all(report.holds for report in reports) else 1


def _load(
    console: Console, name: str, others: Sequence[Board], broken: dict[str, str]
) -> Board | None:
    """A board by its name, by its package (``acme_lost_property``) or ``package.board:board``."""
    for other in others:
        if name in (other.name, other.package):
            return other
    if name in broken:
        console.print(f"The board {name} could not be loaded: {escape(broken[name])}")
        return None
    reference = name if ":" in name or name.endswith(".board") else f"{name}.board"
    try:
        return load_board(reference)
    except ModuleNotFoundError:
        console.print(
            f"There is no board {name}. Name one of {', '.join(sorted(board_entries()))}, or the "
            f"package of an installed one."
        )
    except (ImportError, TypeError, ValueError, AttributeError) as error:
        console.print(f"{name} could not be loaded: {type(error).__name__}: {escape(str(error))}")
    return None


def _manifests(console: Console, board: str | None, *, as_json: bool) -> int:
    """Only what is known without importing any board: fast enough for every commit."""
    paths = [
        folder / "board.toml"
        for name, entry in sorted(board_entries().items())
        if board in (None, name, entry.value.partition(".board")[0])
        if (folder := _folder(entry.value)) is not None
    ]
    if not paths:
        console.print(f"There is no board {board}.")
        return _UNUSABLE
    read, findings = check_manifests(paths)
    if as_json:
        told = {"boards": [m.name for m in read], "findings": msgspec.to_builtins(findings)}
        print(jsons.dumps(told, ensure_ascii=False))  # noqa: T201 - the output
    else:
        _print_findings(console, findings)
        console.print(f"{len(paths)} manifests: {_verdict(len(findings))}")
    return 1 if findings else 0


def _folder(reference: str) -> Path | None:
    package = reference.partition(":")[0].rpartition(".")[0]
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def _export(console: Console, boards: Sequence[Board]) -> int:
    """Write the contracts as released; from now on they may only grow."""
    for board in boards:
        path = write_schema(board)
        if path is not None:
            console.print(f"{board.name} {board.manifest.version}: {path}")
    return 0


def _print(
    console: Console, reports: Sequence[Report], broken: dict[str, str], *, notes: bool
) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "board", "version", "grade", "shows"):
        table.add_column(heading, no_wrap=True)
    for heading in ("ops", "events", "refusals", "tables", "pages", "findings"):
        table.add_column(heading, justify="right", no_wrap=True)
    for report in reports:
        figures = (
            report.operations,
            report.events,
            report.refusals,
            report.tables,
            report.pages,
            len(report.findings),
        )
        table.add_row(
            "[green]✓[/]" if report.holds else "[red]✗[/]",
            f"{report.board} {report.title}",
            report.version,
            report.declared,
            report.earned,
            *map(str, figures),
        )
    console.print(table)
    findings = [finding for report in reports for finding in report.findings]
    _print_findings(console, findings)
    for name, why in broken.items():
        console.print(f"[red]✗[/] {name} could not be loaded: {escape(why)}")
    for report in reports if notes else ():
        for note in report.notes:
            console.print(f"[dim]·[/] {escape(note)}")
    console.print(f"{len(reports)} boards: {_verdict(len(findings))}")


def _print_findings(console: Console, findings: Sequence[Finding]) -> None:
    for finding in findings:
        console.print(f"[red]{finding.rule}[/] {escape(str(finding))}")


def _verdict(count: int) -> str:
    return "everything holds" if not count else f"{count} findings"

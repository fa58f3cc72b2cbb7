"""``plugward audit``: run every proof on a data folder and say what holds."""

import asyncio
import json
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from plugward.kernel.audit import AuditReport, audit_runtime
from plugward.rack.embedded import Embedded
from plugward.rack.folder import DataFolder, FolderError
from plugward.rack.place import stores_of


def audit(data: Path, *, as_json: bool) -> int:
    """0 when everything holds, 1 on a breach, 2 when the folder cannot be read."""
    console = Console(stderr=as_json)
    folder = DataFolder(data)
    if not folder.exists:
        console.print(f"{data} holds no hospital. Name its folder with --data.")
        return 2
    try:
        folder.open()
        report = asyncio.run(_audit(folder))
    except FolderError as error:
        console.print(str(error))
        return 2
    finally:
        folder.close()
    if as_json:
        print(json.dumps(msgspec.to_builtins(report), ensure_ascii=False))  # noqa: T201 - the output
    else:
        print_report(console, report)
    return 0 if report.holds else 1


async def _audit(folder: DataFolder) -> AuditReport:
    async with stores_of(folder) as stores:
        hospital = Embedded(folder, reacting=False, stores=stores)
        await hospital.start()
        try:
            return await audit_runtime(hospital.runtime)
        finally:
            await hospital.stop()


def print_report(console: Console, report: AuditReport) -> None:
    """One line a proof, then the breaches in words."""
    table = Table(title="plugward audit", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "proof", "board", "what must hold"):
        table.add_column(heading)
    table.add_column("examined", justify="right")
    table.add_column("breaches", justify="right")
    for line in report.lines:
        ok = not line.breaches
        table.add_row(
            "[green]✓[/]" if ok else "[red]✗[/]",
            line.id,
            line.board,
            line.title,
            f"{line.examined:,}",
            str(len(line.breaches)),
        )
    console.print(table)
    for line in report.lines:
        for breach in line.breaches[:20]:
            console.print(f"[red]{line.id}[/] {line.board}: {breach}", markup=True)
    verdict = "everything holds" if report.holds else f"{report.breach_count} breaches"
    console.print(f"{len(report.lines)} proofs: {verdict}")

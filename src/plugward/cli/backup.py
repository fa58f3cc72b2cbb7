"""``plugward backup`` and ``plugward restore``: a hospital's folder, whole, while it works."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from plugward import __version__
from plugward.kernel.clock import SystemClock
from plugward.rack.backup import Manifest, back_up, read_manifest
from plugward.rack.backup import Progress as Report
from plugward.rack.backup import restore as lay_down
from plugward.rack.folder import DataFolder, FolderError

from .audit import audit

MB = 1_000_000


def backup(data: Path, to: Path) -> int:
    """0 when the backup stands, 2 when none was made."""
    console = Console()
    folder = DataFolder(data)
    try:
        with _bar(console) as bar:
            made = back_up(folder, to, SystemClock(), __version__, _onto(bar, "Backing up"))
        settings = folder.settings()
    except FolderError as error:
        console.print(str(error), markup=False)
        return 2
    console.print(
        f"{to}: {len(made.files)} files, {made.bytes / MB:,.1f} MB, as of {made.taken_at:%F %T}Z. "
        f"Writers waited {made.held_ms} ms.",
        highlight=False,
    )
    if settings.database:
        console.print(
            f"The rows on {made.database} are in it as files, table by table compared: it opens "
            f"without a server, and plugward restore --to URL lays them onto one."
        )
    if settings.keys:
        console.print(f"The keys in {settings.keys} are not in it: keep them apart, keep them too.")
    return 0


def restore(source: Path, data: Path, *, prove: bool, to: str = "", owner: str = "") -> int:
    """0 when the restored hospital passes its audit, 1 on a breach, 2 when nothing was restored."""
    console = Console()
    try:
        taken: Manifest = read_manifest(source)
        with _bar(console) as bar:
            lay_down(source, DataFolder(data), _onto(bar, "Restoring"), to=to, owner=owner)
    except FolderError as error:
        console.print(str(error), markup=False)
        return 2
    console.print(
        f"{data} is the hospital as of {taken.taken_at:%F %T}Z: {len(taken.files)} files, each as "
        f"it was written. The data centre fills itself again when the hospital starts.",
        highlight=False,
    )
    return audit(data, as_json=False) if prove else 0


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[file]}"),
        console=console,
    )


def _onto(bar: Progress, title: str) -> Report:
    task = bar.add_task(title, file="")

    def report(name: str, done: int, total: int) -> None:
        bar.update(task, completed=done, total=total, file=name)

    return report

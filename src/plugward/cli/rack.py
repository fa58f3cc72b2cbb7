"""``plugward rack``: what runs, and how it is."""

import asyncio
import json
import logging
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Table

from plugward.rack.control.client import tell
from plugward.rack.control.words import ActRefused, BoardStatus, RackStatus

if TYPE_CHECKING:
    from plugward.kernel.auditlog import AuditLog
    from plugward.rack.folder import DataFolder
    from plugward.rack.supervisor.plan import RackPlan
    from plugward.rack.supervisor.rack import Rack

REFUSED = 2
PLAN = "rack.toml"
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


def up(plan_file: Path | None, data: Path, *, demo: bool, port: int | None) -> int:
    """Run the rack until interrupted. 0 after a clean stop, 2 when it cannot start, in words."""
    from plugward.rack.folder import DataFolder, FolderError
    from plugward.rack.supervisor.plan import PlanError

    console = Console()
    folder = DataFolder(data)
    try:
        plan = _plan(folder, plan_file, demo=demo, port=port)
        folder.open()
        return asyncio.run(_run(folder, plan, console, demo=demo))
    except (PlanError, FolderError) as error:
        console.print(str(error), markup=False, soft_wrap=True)
        return REFUSED
    except ModuleNotFoundError as missing:
        console.print(
            f"A rack needs {missing.name}: install plugward[rack], or run plugward up.",
            markup=False,
            soft_wrap=True,
        )
        return REFUSED
    finally:
        folder.close()


def _plan(
    folder: "DataFolder", plan_file: Path | None, *, demo: bool, port: int | None
) -> "RackPlan":
    """The file's plan, or the default; refused where the hospital would stand open."""
    from plugward.rack.discover import board_entries
    from plugward.rack.folder import FolderError
    from plugward.rack.gate import Listeners, failed_checks
    from plugward.rack.supervisor.plan import RackPlan, read_plan

    own = folder.path / PLAN
    file = plan_file or (own if own.exists() else None)
    plan = read_plan(file, tuple(board_entries())) if file else RackPlan()
    if port is not None:
        plan = msgspec.structs.replace(plan, port=port)
    at = Listeners(plan.host, plan.mllp_port, demo)
    if problems := failed_checks(folder, folder.settings(), at):
        raise FolderError("\n".join(problems))
    return plan


async def _run(folder: "DataFolder", plan: "RackPlan", console: Console, *, demo: bool) -> int:
    from plugward.kernel.clock import SystemClock
    from plugward.rack.control.server import ControlServer
    from plugward.rack.embedded import audit_log
    from plugward.rack.supervisor.powers import LANE, RackPowers
    from plugward.rack.supervisor.rack import Rack, RackFailed
    from plugward.rack.supervisor.seeding import SeedingFailed, seed_demo
    from plugward.rack.supervisor.survey import SurveyFailed

    logging.getLogger("plugward").setLevel(logging.WARNING)
    started = time.perf_counter()
    stop = asyncio.Event()
    for kind in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(kind, stop.set)
    clock = SystemClock()
    rack = Rack(folder, plan, clock, demo=demo)
    audit: AuditLog | None = None
    control: ControlServer | None = None

    def say(said: str) -> None:
        console.print(f"  {said}", markup=False, soft_wrap=True)

    try:
        stores = await rack.open(say)
        if demo:
            folder.mark_demo()
            say("preparing the demo 准备演示数据 …")
            await seed_demo(folder.path, stores)
        await rack.start(say)
        audit = audit_log(folder, clock, LANE, stores)
        await audit.start()
        control = ControlServer(folder.path, RackPowers(rack, audit))
        await control.start()
        _say_ready(rack, await rack.status(), console, time.perf_counter() - started)
        await stop.wait()
    except (RackFailed, SeedingFailed, SurveyFailed) as error:
        console.print(f"The rack cannot stand: {error}", markup=False, soft_wrap=True)
        return REFUSED
    finally:
        console.print("Stopping 正在停止 …")
        if control is not None:
            await control.stop()
        await rack.stop(say)
        if audit is not None:
            await audit.stop()
        await rack.close()
    console.print("Stopped. The data stay in " + str(folder.path), soft_wrap=True)
    return 0


def _say_ready(rack: "Rack", found: RackStatus, console: Console, seconds: float) -> None:
    processes = {pid for board in found.boards for pid in board.pids}
    sick = [f"{board.name} ({board.why})" for board in found.boards if not board.healthy]
    console.print(
        f"[bold green]The rack is up[/] 机架已启动: http://{rack.plan.host}:{rack.port}  "
        f"({len(found.boards)} boards in {len(processes)} processes, {seconds:.1f} s). "
        "Ctrl-C stops it.",
        soft_wrap=True,
    )
    if sick:
        console.print("Not healthy: " + ", ".join(sick), markup=False, soft_wrap=True)


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
        console.print(
            f"database: {found.database}; connections: {found.connections} of "
            f"{found.connections_budget}",
            markup=False,
            soft_wrap=True,
        )


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

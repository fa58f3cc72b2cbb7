"""``plugward up``: the embedded hospital, started, watched and stopped cleanly."""

import asyncio
import logging
import signal
import socket
import time
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console

from plugward.kernel.manifest import ManifestError
from plugward.kernel.refusals import Fault, Refusal, Unavailable
from plugward.kernel.store.migrations import MigrationFailed
from plugward.rack.control.embedded import EmbeddedPowers, kept_out
from plugward.rack.control.server import ControlServer
from plugward.rack.embedded import Embedded
from plugward.rack.folder import DataFolder, FolderError
from plugward.rack.gate import Listeners, failed_checks

REFUSED = 2


class Options(msgspec.Struct, frozen=True):
    """What the command line asked for."""

    data: Path
    host: str
    port: int
    mllp_port: int
    demo: bool
    speed: float


def up(*, data: Path, host: str, port: int, mllp_port: int, demo: bool, speed: float) -> int:
    """Run until interrupted. 0 after a clean stop, 2 when it cannot start, in one sentence."""
    console = Console()
    options = Options(data, host, port, mllp_port, demo, speed)
    folder = DataFolder(data)
    problems = _gate(options, folder)
    if problems:
        for problem in problems:
            console.print(problem, markup=False, soft_wrap=True)
        return REFUSED
    try:
        folder.open()
        return uvloop.run(_serve(folder, options, console))
    except (FolderError, ManifestError, MigrationFailed) as error:
        console.print(str(error), markup=False)
        return REFUSED
    except (Refusal, Unavailable, Fault) as error:
        console.print(
            f"The hospital could not be opened: {error}. Run 'plugward audit --data {data}' and "
            f"look at the log; an empty folder (--data) always works.",
            markup=False,
        )
        return REFUSED
    finally:
        folder.close()


def _gate(options: Options, folder: DataFolder) -> list[str]:
    """Why this must not start: every reason at once, or nothing."""
    try:
        hospital = folder.settings()
    except FolderError as error:
        return [str(error)]
    at = Listeners(options.host, options.mllp_port, options.demo)
    problems = failed_checks(folder, hospital, at)
    if options.port == options.mllp_port:
        problems.append(f"Portal and MLLP cannot share the port {options.port}; change --port.")
    for port, option in ((options.port, "--port"), (options.mllp_port, "--mllp-port")):
        if not problems and port and not _is_free(options.host, port):
            problems.append(
                f"Port {port} is taken. Stop what uses it, or choose another with {option}."
            )
    return problems


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


async def _serve(folder: DataFolder, options: Options, console: Console) -> int:
    from plugward.commons.portal.server import serve

    logging.getLogger("plugward").setLevel(logging.WARNING)
    started = time.perf_counter()
    hospital = Embedded(
        folder,
        without=kept_out(folder.path),
        extra={
            "hub": {"mllp_port": options.mllp_port, "host": options.host},
            "identity": {"demo": options.demo},
            "portal": {"demo": options.demo},
        },
    )
    stop = asyncio.Event()
    for kind in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(kind, stop.set)
    with console.status("Plugging the boards in 正在插板 …"):
        await hospital.start()
    for name, reason in (hospital.found.broken | hospital.runtime.left_out).items():
        console.print(f"[yellow]Board {name} is left out:[/] {reason}")
    background: asyncio.Task[None] | None = None
    control = ControlServer(folder.path, EmbeddedPowers(hospital.runtime, folder.path))
    try:
        if options.demo:
            background = await _prepare_demo(hospital, options, console)
        else:
            await _first_administrator(hospital, console)
        await control.start()
        _say_ready(hospital, options, console, time.perf_counter() - started)
        await serve(
            hospital.runtime,
            host=options.host,
            port=options.port,
            demo=options.demo,
            hosts=hospital.hospital.hosts,
            stop=stop,
        )
    finally:
        console.print("Stopping 正在停止 …")
        await control.stop()
        if background is not None:
            background.cancel()
            await asyncio.wait({background})
        await hospital.stop()
    console.print("Stopped. The data stay in " + str(folder.path))
    return 0


async def _prepare_demo(
    hospital: Embedded, options: Options, console: Console
) -> "asyncio.Task[None]":
    """Fill an empty folder, print the log-ins, and let today's patients come in."""
    from plugward.commons.identity.demo import prepare
    from plugward.sim.demo import begin_day, seed
    from plugward.sim.progress import Steps

    hospital.folder.mark_demo()
    with Steps(console) as steps:
        await seed(hospital.runtime, steps)
        logins = await prepare(hospital.runtime, hospital.folder.path)
    console.print("Demo log-ins 演示账号 (also: plugward demo logins):")
    for login in logins:
        console.print(
            f"  {login.role:<22}{login.staff_no:<10}{login.password:<18}{login.name}", markup=False
        )
    return begin_day(hospital.runtime, speed=options.speed)


async def _first_administrator(hospital: Embedded, console: Console) -> None:
    """A hospital without accounts gets one code for one administrator, on this console only."""
    from plugward.commons.identity.first import first_administrator

    first = await first_administrator(hospital.runtime)
    if first is not None:
        console.print(
            f"No account exists yet. Open /activate as {first.staff_no!r} with the one-time code "
            f"{first.code} (it is not kept and cannot be shown again).",
            markup=False,
            soft_wrap=True,
        )


def _say_ready(hospital: Embedded, options: Options, console: Console, seconds: float) -> None:
    boards = len(hospital.runtime.plugged)
    console.print(
        f"[bold green]Plugward is up[/] 医院已开门: http://{options.host}:{options.port}  "
        f"(HL7 v2 on {options.mllp_port}, {boards} boards, {seconds:.1f} s). Ctrl-C stops it."
    )

"""What the verbs of ``plugward hub`` do."""

import asyncio
import getpass
import hashlib
import json as jsons
import logging
import re
import secrets
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plugward.commons.hub.routing.book import RouteBook
from plugward.commons.hub.routing.compiled import RouteInvalid

REFUSED = 2
THREAD_SWITCH_S = 0.0005
ARCHIVE = '[archive]\nkind = "files"\nfolder = "archive"\n'


def listen(
    *,
    data: Path,
    ports: tuple[int, int | None],
    host: str,
    per_source: int,
    tls: tuple[str, str, str],
) -> int:
    import uvloop

    from plugward.commons.hub.alone import CannotListen, Options, listening
    from plugward.commons.hub.endpoints import Tls

    console = Console(stderr=True)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    if host not in ("127.0.0.1", "::1", "localhost") and not tls[0]:
        console.print(
            "[yellow]Plain MLLP has no authentication:[/] keep it on a network of its own"
        )
    options = Options(
        data=data,
        host=host,
        mllp_port=ports[0],
        http_port=ports[1],
        connections_per_source=per_source,
        tls=Tls(cert=tls[0], key=tls[1], ca=tls[2]) if tls[0] else None,
    )

    # The writer waits for the disk most of the time: it gets the interpreter as soon as it is back.
    sys.setswitchinterval(THREAD_SWITCH_S)

    async def run() -> int:
        stop = asyncio.Event()
        for kind in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(kind, stop.set)
        async with listening(options) as doors:
            told = {"mllp_port": doors.mllp_port, "http_port": doors.http_port}
            print(jsons.dumps(told), flush=True)  # noqa: T201 - whoever started it reads the ports
            await stop.wait()
        return 0

    try:
        return uvloop.run(run())
    except (CannotListen, ValueError, OSError) as error:
        console.print(str(error), markup=False)
        return REFUSED


def stats(*, data: Path, as_json: bool) -> int:
    """Counts from the ledger; services and speeds from the running hub, if one runs."""
    from plugward.commons.hub.figures import figures

    found = figures(data)
    if found is None:
        Console(stderr=True).print(f"{data} holds no hub. Name its folder with --data.")
        return REFUSED
    if as_json:
        print(msgspec.json.encode(found).decode())  # noqa: T201 - the output
        return 0
    console = Console()
    console.print(
        f"{found.messages} messages, {found.pending} waiting, {found.dead} dead, "
        f"{found.refused} refused, {found.ledger_bytes >> 20} MiB"
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("system", "service", "", "calls", "errors", "p50 ms", "p99 ms", "last"):
        table.add_column(heading)
    for row in found.services:
        last = f"{row.last_at:%H:%M:%S}" if row.last_at else ""
        figures_of = (row.calls, row.errors, row.p50_ms, row.p99_ms)
        table.add_row(row.system, row.service, row.direction, *map(str, figures_of), last)
    console.print(table)
    return 0


def new_route(name: str, *, data: Path) -> int:
    """Write the route and, the first time, somewhere for it to send to."""

    def act(book: RouteBook) -> str:
        folder = book.new(name)
        endpoints = data / "destinations.toml"
        if not endpoints.exists():
            endpoints.write_text(ARCHIVE, "utf-8")
        return f"{folder}: edit route.py, then plugward hub activate {name}"

    return _with_book(data, act)


def routes(*, data: Path, as_json: bool) -> int:
    """List them."""

    def act(book: RouteBook) -> str:
        active = book.active()
        told = [
            {"route": n, "active": active.get(n), "versions": [v.number for v in book.versions(n)]}
            for n in book.names()
        ]
        if as_json:
            return jsons.dumps(told)
        return "\n".join(f"{one['route']}: {_state(one)}" for one in told) or "There is no route."

    return _with_book(data, act)


def _state(one: dict[str, Any]) -> str:
    return f"version {one['active']} of {len(one['versions'])}" if one["active"] else "not active"


def try_cases(name: str, *, data: Path) -> int:
    """0 when all cases pass."""

    def act(book: RouteBook) -> str:
        problems = book.test(name)
        if problems:
            raise RouteInvalid("\n".join(problems))
        return "every case passes"

    return _with_book(data, act)


def dry_run(
    name: str, sample: Path, *, data: Path, kind: str, version: int | None, as_json: bool
) -> int:
    def act(book: RouteBook) -> str:
        told = book.dry_run(name, sample.read_bytes(), kind=kind, version=version)
        if as_json:
            return msgspec.json.encode(told).decode()
        if told.refused:
            return f"nothing is sent: {told.refused}"
        lines: list[str] = []
        for to, key, differences in told.sends:
            lines.append(f"→ {to}" + (f" (in order for {key})" if key else ""))
            lines += [f"  {c.at}: {_shown(c.before)} → {_shown(c.after)}" for c in differences]
            lines += [] if differences else ["  unchanged, byte for byte"]
        return "\n".join(lines) or "nothing is sent"

    return _with_book(data, act)


def _shown(text: str | None) -> str:
    return "—" if text is None else repr(text)


def activate(name: str, *, data: Path, why: str) -> int:
    """Put the working copy in force."""

    def act(book: RouteBook) -> str:
        return f"{name}: version {book.activate(name, by=_me(), why=why, at=_now())} is in force"

    return _with_book(data, act)


def rollback(name: str, *, data: Path, why: str) -> int:
    """Back to the version before."""

    def act(book: RouteBook) -> str:
        number = book.rollback(name, by=_me(), why=why, at=_now())
        return f"{name}: version {number} is in force again"

    return _with_book(data, act)


def deactivate(name: str, *, data: Path, why: str) -> int:
    """Out of force."""

    def act(book: RouteBook) -> str:
        book.deactivate(name, by=_me(), why=why, at=_now())
        return f"{name} is not active any more"

    return _with_book(data, act)


def diff(name: str, older: int | None, newer: int | None, *, data: Path) -> int:
    """A unified diff."""
    return _with_book(data, lambda book: book.diff(name, older, newer) or "no difference")


def history(name: str, *, data: Path, as_json: bool) -> int:
    """Who, what, when, why."""

    def act(book: RouteBook) -> str:
        told = book.history(name)
        if as_json:
            return jsons.dumps(told, ensure_ascii=False)
        lines = [f"{e['at']}  {e['from']} → {e['to']}  {e['by']}  {e['why']}" for e in told]
        return "\n".join(lines) or "never active"

    return _with_book(data, act)


def new_token(system: str, *, data: Path) -> int:
    """Show the token once; keep its hash."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", system):
        Console(stderr=True).print("A system's name is letters, digits, hyphens.")
        return REFUSED
    path = data / "systems.toml"
    known = path.read_text("utf-8") if path.exists() else ""
    if f"[{system}]" in known:
        Console(stderr=True).print(f"{system} is in {path} already: take its lines out first.")
        return REFUSED
    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f'[{system}]\ntoken_sha256 = "{digest}"\nmay_call = ["*"]\n')
    path.chmod(0o600)
    print(token)  # noqa: T201 - the one time it is shown
    return 0


def calls(*, data: Path, service: str, caller: str, limit: int, as_json: bool) -> int:
    """From the call book; a hub may be writing it meanwhile."""
    from plugward.commons.hub.connectors.callbook import FILE, entries

    found = entries(data / FILE, service=service, caller=caller, limit=limit)
    if as_json:
        for entry in found:
            print(msgspec.json.encode(entry).decode())  # noqa: T201 - the output
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("at", "caller", "from", "service", "call", "status", "in", "out", "ms", ""):
        table.add_column(heading)
    for one in found:
        ended = ("?" if one.status is None else one.status, one.bytes_in, one.bytes_out, one.ms)
        who = (f"{one.at:%m-%d %H:%M:%S}", one.caller, one.address, one.service)
        call = f"{one.method} {one.path}"
        table.add_row(*who, escape(call), *map(str, ended), escape(one.error or ""))
    Console().print(table)
    return 0


def _with_book(data: Path, act: Callable[[RouteBook], str]) -> int:
    book = RouteBook(data / "routes")
    try:
        print(act(book))  # noqa: T201 - the output
    except (RouteInvalid, OSError) as error:
        Console(stderr=True).print(str(error), markup=False)
        return REFUSED
    return 0


def _me() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "cli"


def _now() -> datetime:
    return datetime.now(UTC)


def simulate(*, as_json: bool, **told: Any) -> int:
    """Run it, print what happened; 1 when something was lost, doubled or out of order."""
    import uvloop

    from plugward.sim.hub.run import Wish
    from plugward.sim.hub.run import simulate as run

    report = uvloop.run(run(Wish(**told)))
    if as_json:
        print(msgspec.json.encode(report).decode())  # noqa: T201 - the output
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, value in msgspec.to_builtins(report).items():
            table.add_row(name.replace("_", " "), str(value))
        Console().print(table)
    return 0 if report.holds else 1

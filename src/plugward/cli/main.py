"""``plugward``: the verbs, with nothing heavy imported before it is needed."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from plugward.cli.hub import hub

app = typer.Typer(
    name="plugward",
    help="Plugward 插板式智慧医院: run, watch and extend a hospital of boards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
demo = typer.Typer(help="The demo hospital 演示医院.", no_args_is_help=True)
events = typer.Typer(help="Parked events 滞留事件: list, replay, skip.", no_args_is_help=True)
app.add_typer(demo, name="demo")
app.add_typer(events, name="events")
app.add_typer(hub, name="hub")
rack = typer.Typer(help="The rack 机架: what runs, and how it is.", no_args_is_help=True)
app.add_typer(rack, name="rack")

store = typer.Typer(help="Where rows are kept 存储: move and compare.", no_args_is_help=True)
app.add_typer(store, name="store")

Data = Annotated[Path, typer.Option("--data", help="The hospital's data folder.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
DEFAULT_DATA = Path("plugward-data")


def _run(module: str, function: str, *args: Any, **kwargs: Any) -> None:
    """Import a verb's module and run it; its answer is the exit code."""
    raise typer.Exit(getattr(import_module(f"plugward.cli.{module}"), function)(*args, **kwargs))


@app.command()
def up(
    data: Data = DEFAULT_DATA,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Portal port.")] = 8000,
    mllp_port: Annotated[int, typer.Option(help="HL7 v2 port (MLLP).")] = 2575,
    demo: Annotated[
        bool, typer.Option("--demo/--no-demo", help="Demo hospital with a simulated day.")
    ] = True,
    speed: Annotated[float, typer.Option(help="How fast the demo's day runs.")] = 1.0,
) -> None:
    """Start the hospital in this process. Ctrl-C stops it cleanly."""
    _run("up", "up", data=data, host=host, port=port, mllp_port=mllp_port, demo=demo, speed=speed)


@app.command()
def audit(data: Data = DEFAULT_DATA, json: Json = False) -> None:
    """Prove the hospital's invariants: money, stock, records, messages, the audit chain."""
    _run("audit", "audit", data=data, as_json=json)


@app.command()
def doctor(
    data: Data = DEFAULT_DATA,
    security: Annotated[
        bool, typer.Option("--security", help="Also the rows of the security checks.")
    ] = False,
    port: Annotated[int, typer.Option(help="Portal port.")] = 8000,
    mllp_port: Annotated[int, typer.Option(help="HL7 v2 port (MLLP).")] = 2575,
    json: Json = False,
) -> None:
    """Name what is wrong with the hospital and what to do next. Changes nothing."""
    from plugward.rack.doctor import Wanted

    wanted = Wanted(port=port, mllp_port=mllp_port, security=security)
    _run("doctor", "doctor", data, wanted=wanted, as_json=json)


@app.command()
def backup(
    to: Annotated[Path, typer.Argument(help="A new folder for the backup.")],
    data: Data = DEFAULT_DATA,
) -> None:
    """Back the hospital up, running or not: one moment of all its boards."""
    _run("backup", "backup", data=data, to=to)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A folder that plugward backup made.")],
    data: Data = DEFAULT_DATA,
    prove: Annotated[bool, typer.Option("--audit/--no-audit", help="Prove it afterwards.")] = True,
    to: Annotated[str, typer.Option(help="A database's URL: rows go there, empty before.")] = "",
    owner: Annotated[str, typer.Option(help="Who makes schemas and roles there.")] = "",
) -> None:
    """Lay a backup down as a new data folder, or folder and server, and audit it."""
    _run("backup", "restore", source=source, data=data, prove=prove, to=to, owner=owner)


@app.command()
def day(
    visits: Annotated[int, typer.Option(help="How many visits.")] = 200,
    seed: Annotated[int, typer.Option(help="The same seed gives the same day.")] = 1,
    data: Annotated[
        Path | None, typer.Option("--data", help="Keep the data here; else a fresh folder.")
    ] = None,
    speed: Annotated[
        float, typer.Option(help="Simulated seconds a real second; 0 is as fast as it goes.")
    ] = 0.0,
    acknowledged: Annotated[
        Path | None, typer.Option(help="Write the id of every acknowledged command here.")
    ] = None,
    json: Json = False,
) -> None:
    """Run a simulated hospital day through the real contracts, then audit it."""
    _run(
        "day",
        "day",
        visits=visits,
        seed=seed,
        data=data,
        speed=speed,
        acknowledged=acknowledged,
        as_json=json,
    )


@app.command()
def check(
    board: Annotated[
        str | None, typer.Argument(help="A board's name or package; all without.")
    ] = None,
    json: Json = False,
    manifests: Annotated[
        bool, typer.Option("--manifests", help="Only the manifests (fast).")
    ] = False,
    export: Annotated[
        bool, typer.Option("--export", help="Write the contracts down as released.")
    ] = False,
) -> None:
    """Check boards against the rules every board promises to keep, and print their grade."""
    _run("check", "check", board=board, as_json=json, manifests=manifests, export=export)


@app.command("new-board")
def new_board(
    name: Annotated[str, typer.Argument(help="Lower-case name, such as lost_property.")],
    folder: Annotated[Path, typer.Option("--in", help="Where to make it.")] = Path(),
    title: Annotated[str, typer.Option(help="Its Chinese title.")] = "新插板",
) -> None:
    """Write a new board that passes every check at once."""
    _run("new_board", "new_board", name=name, folder=folder, title=title)


Wheels = Annotated[
    Path | None, typer.Option(help="A folder of wheels the board needs; nothing is fetched.")
]
Lock = Annotated[Path | None, typer.Option(help="A file of hashes: nothing else is installed.")]


@app.command()
def plug(
    board: Annotated[str, typer.Argument(help="An installed board's name; ./FOLDER; a wheel.")],
    data: Data = DEFAULT_DATA,
    wheels: Wheels = None,
    lock: Lock = None,
) -> None:
    """Plug a board into the running hospital; one from outside gets an environment of its own."""
    _run("plug", "act", "plug", board, data, wheels=wheels, lock=lock)


@app.command()
def upgrade(
    board: Annotated[str, typer.Argument(help="The new version: a folder or a wheel.")],
    data: Data = DEFAULT_DATA,
    wheels: Wheels = None,
    lock: Lock = None,
) -> None:
    """Put another version of a board in; the old one serves until the new one does."""
    _run("plug", "act", "upgrade", board, data, wheels=wheels, lock=lock)


@app.command()
def rollback(
    board: Annotated[str, typer.Argument(help="The board's name.")], data: Data = DEFAULT_DATA
) -> None:
    """Bring the version back that ran before."""
    _run("plug", "act", "rollback", board, data)


@app.command()
def unplug(
    board: Annotated[str, typer.Argument(help="The board's name.")],
    data: Data = DEFAULT_DATA,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also where a board cannot work without it.")
    ] = False,
) -> None:
    """Take a board out of the running hospital. Its data stay."""
    _run("plug", "act", "unplug", board, data, anyway=anyway)


@app.command()
def move(
    board: Annotated[str, typer.Argument(help="The board's name.")],
    to: Annotated[str, typer.Option(help="alone or together.")],
    beside: Annotated[str, typer.Option("--with", help="A board or group to share with.")] = "",
    data: Data = DEFAULT_DATA,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also where the portal's door closes meanwhile.")
    ] = False,
) -> None:
    """Give a board of the running rack a process of its own, or one with others. No row moves."""
    _run("plug", "move", board, to, beside, data, anyway=anyway)


@rack.command("up")
def rack_up(
    plan: Annotated[
        Path | None, typer.Argument(help="rack.toml; without one the folder's, or the default.")
    ] = None,
    data: Data = DEFAULT_DATA,
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="The demo hospital.")] = False,
    port: Annotated[int | None, typer.Option(help="Portal port instead of the file's.")] = None,
) -> None:
    """Start the hospital as one process a board. Ctrl-C stops it cleanly."""
    _run("rack", "up", plan, data, demo=demo, port=port)


@rack.command("restart")
def rack_restart(
    board: Annotated[str, typer.Argument(help="The board's name.")], data: Data = DEFAULT_DATA
) -> None:
    """Start a board's processes anew, one replica after the other, while patients are served."""
    _run("plug", "act", "restart", board, data)


@rack.command("status")
def rack_status(data: Data = DEFAULT_DATA, json: Json = False) -> None:
    """Every board with version, processes, replicas, memory and health."""
    _run("rack", "status", data, as_json=json)


@store.command("copy")
def store_copy(
    source: Annotated[str, typer.Option("--from", help="A data folder, or a database's URL.")],
    target: Annotated[str, typer.Option("--to", help="An empty folder, or a database's URL.")],
    owner: Annotated[str, typer.Option(help="Who makes schemas and roles at the target.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; write nothing.")] = False,
    while_running: Annotated[
        bool, typer.Option("--while-running", help="As of one moment; later rows stay behind.")
    ] = False,
    json: Json = False,
) -> None:
    """Move a hospital's rows between SQLite, PostgreSQL and MySQL: all of them, compared."""
    options = {"dry_run": dry_run, "while_running": while_running, "as_json": json}
    _run("store", "copy", source, target, owner=owner, **options)


@store.command("compare")
def store_compare(one: str, other: str, json: Json = False) -> None:
    """Say whether two data folders or databases hold the same rows, and where not."""
    _run("store", "compare", one, other, as_json=json)


@demo.command("logins")
def demo_logins(data: Data = DEFAULT_DATA) -> None:
    """Print the demo log-ins of a data folder."""
    _run("demo", "logins", data=data)


@events.command("list")
def events_list(data: Data = DEFAULT_DATA, json: Json = False) -> None:
    """List what could not be handled and waits for a person."""
    _run("events", "list_parked", data=data, as_json=json)


@events.command("replay")
def events_replay(parked: str, data: Data = DEFAULT_DATA) -> None:
    """Try a parked event again (the hospital must be stopped; the portal does it live)."""
    _run("events", "resolve", parked=parked, data=data, skip=False, reason="")


@events.command("skip")
def events_skip(
    parked: str, reason: Annotated[str, typer.Option(help="Why.")], data: Data = DEFAULT_DATA
) -> None:
    """Leave a parked event out for good, with a reason."""
    _run("events", "resolve", parked=parked, data=data, skip=True, reason=reason)


@app.command()
def version() -> None:
    """Print the version."""
    from plugward import __version__

    typer.echo(__version__)


def main() -> None:
    """The entry point of the ``plugward`` command."""
    app()

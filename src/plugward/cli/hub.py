"""``plugward hub``: the integration hub by itself, its counts, and the site's routes."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

hub = typer.Typer(help="The integration hub 集成平台: listen, stats, routes.", no_args_is_help=True)

Data = Annotated[Path, typer.Option("--data", help="The hub's data folder.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Why = Annotated[str, typer.Option("--why", help="Why, for the history.")]
Route = Annotated[str, typer.Argument(metavar="ROUTE", help="The route's name.")]
DEFAULT = Path("plugward-data")


def _run(function: str, *args: Any, **kwargs: Any) -> None:
    raise typer.Exit(getattr(import_module("plugward.cli.hub_verbs"), function)(*args, **kwargs))


@hub.command()
def listen(
    *,
    data: Data = DEFAULT,
    mllp_port: Annotated[int, typer.Option(help="HL7 v2 (MLLP); 0 takes a free one.")] = 2575,
    http_port: Annotated[int | None, typer.Option(help="HTTP; off when not given.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    per_source: Annotated[int, typer.Option(help="Connections from one address.")] = 256,
    tls_cert: Annotated[str, typer.Option(help="PEM file, in the data folder.")] = "",
    tls_key: Annotated[str, typer.Option(help="PEM file, in the data folder.")] = "",
    tls_ca: Annotated[str, typer.Option(help="Whose client certificates may connect.")] = "",
) -> None:
    """Run the hub by itself: it keeps what it is sent and does what the routes say."""
    _run(
        "listen",
        data=data,
        ports=(mllp_port, http_port),
        host=host,
        per_source=per_source,
        tls=(tls_cert, tls_key, tls_ca),
    )


@hub.command()
def stats(data: Data = DEFAULT, json: Json = False) -> None:
    """Tell counts: messages kept, deliveries by state, what waits for whom, services, speeds."""
    _run("stats", data=data, as_json=json)


@hub.command("new-route")
def new_route(name: Route, data: Data = DEFAULT) -> None:
    """Write a route that passes its own case, to start from."""
    _run("new_route", name, data=data)


@hub.command("routes")
def routes(data: Data = DEFAULT, json: Json = False) -> None:
    """List the routes, and which version of each is in force."""
    _run("routes", data=data, as_json=json)


@hub.command("test-route")
def try_cases(name: Route, data: Data = DEFAULT) -> None:
    """Run the cases beside a route."""
    _run("try_cases", name, data=data)


@hub.command("dry-run")
def dry_run(
    name: Route,
    sample: Annotated[Path, typer.Argument(help="A file with one message.")],
    data: Data = DEFAULT,
    kind: Annotated[str, typer.Option(help="For what is not HL7 v2: 'POST /orders'.")] = "",
    version: Annotated[int | None, typer.Option(help="A version; else the working copy.")] = None,
    json: Json = False,
) -> None:
    """Show what a route would do with a sample, field by field. Nothing is sent."""
    _run("dry_run", name, sample, data=data, kind=kind, version=version, as_json=json)


@hub.command()
def activate(name: Route, data: Data = DEFAULT, why: Why = "") -> None:
    """Put the working copy in force, if its cases pass; a running hub takes it over at once."""
    _run("activate", name, data=data, why=why)


@hub.command()
def rollback(name: Route, data: Data = DEFAULT, why: Why = "") -> None:
    """Back to the version that was in force before."""
    _run("rollback", name, data=data, why=why)


@hub.command()
def deactivate(name: Route, data: Data = DEFAULT, why: Why = "") -> None:
    """Take a route out of force; its versions stay."""
    _run("deactivate", name, data=data, why=why)


@hub.command()
def diff(
    name: Route,
    older: Annotated[int | None, typer.Argument(help="Version; else the one in force.")] = None,
    newer: Annotated[int | None, typer.Argument(help="Version; else the working copy.")] = None,
    data: Data = DEFAULT,
) -> None:
    """Show what changed between two versions of a route."""
    _run("diff", name, older, newer, data=data)


@hub.command()
def history(name: Route, data: Data = DEFAULT, json: Json = False) -> None:
    """List who put which version in force, when and why."""
    _run("history", name, data=data, as_json=json)


@hub.command("new-token")
def new_token(
    system: Annotated[str, typer.Argument(help="The calling system's name.")], data: Data = DEFAULT
) -> None:
    """Make a bearer token for a caller over HTTP. It is shown once and kept as a hash."""
    _run("new_token", system, data=data)


@hub.command()
def calls(
    data: Data = DEFAULT,
    service: Annotated[str, typer.Option(help="Only this service's.")] = "",
    caller: Annotated[str, typer.Option(help="Only this caller's.")] = "",
    limit: Annotated[int, typer.Option(help="So many, the latest first.")] = 100,
    json: Json = False,
) -> None:
    """List the calls that were passed through: who, what, when, and how it ended."""
    _run("calls", data=data, service=service, caller=caller, limit=limit, as_json=json)


@hub.command()
def simulate(
    *,
    systems: Annotated[int, typer.Option(min=2, help="How many systems.")] = 138,
    services: Annotated[int, typer.Option(min=1, help="How many services they offer.")] = 771,
    rate: Annotated[float, typer.Option(min=0.1, help="Messages a second, all together.")] = 70.0,
    minutes: Annotated[float, typer.Option(min=0.05, help="How long they send.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed sends the same messages.")] = 1,
    data: Annotated[
        Path | None, typer.Option("--data", help="A folder on the disk to use.")
    ] = None,
    json: Json = False,
) -> None:
    """Put a simulated hospital around a hub of its own, and prove that nothing was lost."""
    _run(
        "simulate",
        systems=systems,
        services=services,
        rate=rate,
        minutes=minutes,
        seed=seed,
        data=data,
        as_json=json,
    )

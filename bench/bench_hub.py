"""How fast the hub takes messages: MLLP in, durable (fsync) before AA, at 1, 8 and 64 connections.

    .venv/bin/python bench/bench_hub.py [--seconds 4] [--data DIR]

The hub runs in its own process with one accept-and-keep route; the generator on the same machine.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import uvloop

from plugward.commons.hub.intake import Intake, Plan
from plugward.commons.hub.lanes import Lanes
from plugward.commons.hub.ledger import LocalLedger
from plugward.commons.hub.mllp import Limits, MllpServer
from plugward.kernel.clock import SystemClock

LOAD = Path(__file__).with_name("mllp_load.py")
CONNECTIONS = (1, 8, 64)


async def serve(folder: Path) -> None:
    """Listen, say on which port, and keep everything until the end of standard input."""
    clock = SystemClock()
    ledger = LocalLedger(folder / "hub.sqlite", clock.now)
    await ledger.start()
    intake = Intake(
        ledger=ledger, lanes=Lanes(ledger, clock), clock=clock, decide=lambda *_: Plan()
    )
    server = MllpServer(
        intake.handle, intake.refuse_frame, limits=Limits(connections_per_source=128)
    )
    print(await server.start("127.0.0.1", 0), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop()
    counts = await ledger.counts()
    await ledger.stop()
    print(json.dumps(counts), flush=True)


def measure(folder: Path, seconds: float) -> list[dict[str, object]]:
    """One line for each number of connections."""
    child = [sys.executable, __file__, "--serve", str(folder)]
    with subprocess.Popen(  # noqa: S603 - ourselves
        child, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as hub:
        assert hub.stdout is not None
        port = hub.stdout.readline().strip()
        results = []
        for connections in CONNECTIONS:
            load = [sys.executable, str(LOAD), "--port", port, "--seconds", str(seconds)]
            done = subprocess.run(  # noqa: S603 - our own generator
                [*load, "--connections", str(connections)],
                capture_output=True,
                text=True,
                check=False,
            )
            results.append(json.loads(done.stdout))
        out, _ = hub.communicate()
    kept = json.loads(out)["messages"]
    sent = sum(int(str(result["sent"])) for result in results)
    assert kept == sent, f"{sent} were sent and {kept} kept"
    return results


def main() -> int:
    """Print one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--data", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve(options.serve))
        return 0
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        results = measure(Path(folder), options.seconds)
    keys = ("connections", "msgs_per_s", "p50_ms", "p99_ms", "naks", "errors", "first_error")
    for result in results:
        print(json.dumps({key: result[key] for key in keys}))
    return 0 if all(result["acks"] and not result["naks"] for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())

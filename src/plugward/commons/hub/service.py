"""What the hub does. Each public method is one step of an integration engineer's work."""

import ipaddress
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from plugward.kernel import Reading, Settings, Store, Work, in_work
from plugward.kernel.access import Access
from plugward.kernel.board import Board
from plugward.kernel.envelope import current_call
from plugward.kernel.events.declare import Reaction
from plugward.kernel.interop import Outbound
from plugward.kernel.manifest import ManifestError
from plugward.kernel.refusals import Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kit.ids import derive, new_id
from plugward.kit.time import Clock

from . import console
from . import ledger_tables as sql
from .catalogue import Catalogue, check
from .connectors.sources import start_sources
from .contract import (
    Hub,
    HubLetter,
    LetterNotFound,
    LetterReplayed,
    LetterState,
    MessageNotFound,
    MessageOpened,
    MessageSearch,
    MessagesFound,
    MessageTrace,
    Opened,
    Overview,
    ReasonNeeded,
    System,
    SystemConfigured,
    SystemStatus,
)
from .destinations import MllpDestination
from .hl7 import Message, parse
from .intake import NotGranted, Plan, control_id_of, kind_of
from .lanes import POLICY, Destination
from .ledger_records import Arrival, Delivery, Lane, LedgerFailed, Outcome
from .ledger_tables import State
from .measures import NO_CALLS, Direction, Tally
from .mllp import MllpClient, MllpServer, Peer
from .node import NOTHING, Node
from .outside import Connector, HubOutside
from .overview import overview
from .routes import SENDER, Routes, written
from .search import hit as hit_of
from .search import search as find
from .search import tries
from .tables import systems

BOARDS = "boards"
SYSTEMS_MAX = 1_000
LETTERS_MAX = 500
TEXT_SHOWN_MAX = 20_000
SEQ_MAX = 2**63 - 1  # what the ledger can count to


class HubService(Hub):
    def __init__(self, store: Store, clock: Clock, settings: Settings, runtime: Runtime) -> None:
        self.store = store
        self._clock = clock
        self._settings = settings
        self._runtime = runtime
        self._catalogue = Catalogue(clock)
        self._routes = Routes(runtime)
        self._receivers: dict[str, MllpDestination] = {}
        self._outside = HubOutside(runtime.meters)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.port = 0
        """The port of the listener, once it listens."""

    # ── life ────────────────────────────────────────────────────────────────────────────────
    async def started(self) -> None:
        """Open the ledger; deliver what waits and listen, unless boards are only looked at."""
        self._node = Node(
            self._folder(),
            self._clock,
            own=self._for_boards,
            denied=self._denied,
            name_of=self._catalogue.code_of,
        )
        await self._node.open()
        self._ledger, self._lanes = self._node.ledger, self._node.lanes
        self._catalogue.fill(await self.store.read(_all_systems))
        self._runtime.outside = self._outside
        if self._may_listen():
            self._check_listener()
            await self._open()

    def _may_listen(self) -> bool:
        wish = str(self._settings["listen"])
        return wish == "always" or (wish == "auto" and self._runtime.reacting)

    async def _open(self) -> None:
        workers = int(self._settings["parallel"])
        await self._node.serve(Destination(BOARDS, self._apply, parallel=workers, lanes_per_run=1))
        for system in self._catalogue.all():
            await self._serve(system)
        await self._node.work()
        start_sources(self._node)
        intake = self._node.intake
        self._server = MllpServer(
            intake.handle, intake.refuse_frame, name="main", turned_away=self._turned_away
        )
        self.port = await self._server.start(
            str(self._settings["host"]), int(self._settings["mllp_port"])
        )

    def _check_listener(self) -> None:
        """SEC-HUB-02: MLLP has no authentication; off this machine it needs a stated reason."""
        host = str(self._settings["host"])
        if not _is_loopback(host) and not str(self._settings["plain_reason"]).strip():
            problem = f"plain MLLP on {host} needs a reason in the setting hub.plain_reason"
            raise ManifestError("hub", [problem])

    async def close_doors(self) -> None:
        """Take nothing more from outside; what is under way is answered."""
        if self.port:
            await self._server.stop()

    async def stopping(self) -> None:
        """Answer what is under way, finish deliveries, close the ledger."""
        await self.close_doors()
        await self._node.stop()
        for receiver in self._receivers.values():
            await receiver.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def connect(self, service: str, connector: Connector) -> None:
        """Reach an outside service by this connector from now on."""
        self._outside.connect(service, connector)

    # ── systems ─────────────────────────────────────────────────────────────────────────────
    async def configure(self, system: System) -> System:
        check(system, self._catalogue.all(), self._clock.now())
        await self._keep(system)
        self._catalogue.put(system)
        if self.port:
            await self._serve(system)
        return system

    @in_work
    def _keep(self, work: Work, system: System) -> System:
        work.save_copy(systems, system)
        work.publish(SystemConfigured(system=system))
        return system

    async def systems(self) -> tuple[SystemStatus, ...]:
        waiting = await self._ledger.backlog(State.PENDING)
        dead = await self._ledger.backlog(State.DEAD)
        counts = self._node.measures.by_direction()
        return tuple(self._status(s, waiting, dead, counts) for s in self._catalogue.all())

    def _status(
        self,
        system: System,
        waiting: dict[str, int],
        dead: dict[str, int],
        counts: Mapping[tuple[str, Direction], Tally],
    ) -> SystemStatus:
        receiver = self._receivers.get(system.code)
        came = counts.get((system.code, Direction.IN), NO_CALLS)
        went = counts.get((system.code, Direction.OUT), NO_CALLS)
        return SystemStatus(
            system=system,
            received=came.calls - came.errors,
            refused=came.errors,
            delivered=went.calls - went.errors,
            waiting=waiting.get(system.code, 0),
            dead=dead.get(system.code, 0),
            last_seen=came.last_at,
            is_connected=receiver is not None and receiver.is_connected,
        )

    # ── messages ────────────────────────────────────────────────────────────────────────────
    async def letters(self, state: LetterState, limit: int = 100) -> tuple[HubLetter, ...]:
        limit = max(1, min(limit, LETTERS_MAX))
        is_dead = state is LetterState.DEAD
        found = await (self._ledger.dead_letters if is_dead else self._ledger.waiting)(limit)
        return tuple(
            HubLetter(
                seq=one.seq,
                destination=one.destination,
                key=one.key,
                kind=one.kind,
                control_id=one.control_id,
                attempts=one.attempts,
                reason=one.reason,
                at=one.at,
                state=state,
            )
            for one in found
        )

    async def open_message(self, seq: int, reason: str) -> Opened:
        if not reason.strip():
            raise ReasonNeeded
        if seq > SEQ_MAX:
            raise MessageNotFound
        body = await self._ledger.body(seq)
        if body is None:
            raise MessageNotFound
        answer, _ = await self._ledger.first_answer(seq)
        await self._note_opened(seq, reason)
        return Opened(
            seq=seq,
            text=console.shown(body)[:TEXT_SHOWN_MAX],
            answer=console.shown(answer or b""),
            bytes_shown=console.hexed(body),
        )

    async def replay(self, seq: int, destination: str, key: str, reason: str) -> None:
        if not reason.strip():
            raise ReasonNeeded
        if seq > SEQ_MAX:
            raise LetterNotFound
        await self._note_replayed((seq,), destination, reason)
        if not await self._ledger.replay(seq, Lane(destination, key)):
            raise LetterNotFound
        self._lanes.nudge(destination)

    async def replay_all(self, destination: str, reason: str, limit: int = 500) -> int:
        if not reason.strip():
            raise ReasonNeeded
        limit = max(1, min(limit, LETTERS_MAX))
        letters = await self._ledger.read(lambda c: sql.dead_of(c, destination, limit))
        await self._note_replayed(tuple(seq for seq, _ in letters), destination, reason)
        count = 0
        for seq, key in letters:
            count += await self._ledger.replay(seq, Lane(destination, key))
        self._lanes.nudge(destination)
        return count

    # ── the console ─────────────────────────────────────────────────────────────────────────
    async def overview(self) -> Overview:
        names = {system.code: system.name for system in self._catalogue.all()}
        return await overview(self._node, names, without=BOARDS)

    async def messages(self, search: MessageSearch) -> MessagesFound:
        asked = console.wanted(search)
        hits = await self._ledger.read(lambda c: find(c, asked))
        return MessagesFound(
            messages=tuple(console.found(hit) for hit in hits.messages), before=hits.before
        )

    async def trace(self, seq: int) -> MessageTrace:
        if seq > SEQ_MAX:
            raise MessageNotFound
        hit = await self._ledger.read(lambda c: hit_of(c, seq))
        if hit is None:
            raise MessageNotFound
        failed = await self._ledger.read(lambda c: tries(c, seq))
        return MessageTrace(
            message=console.found(hit), attempts=tuple(console.attempt(one) for one in failed)
        )

    @in_work
    def _note_opened(self, work: Work, seq: int, reason: str) -> None:
        work.publish(MessageOpened(seq=seq, reader=work.actor.id, reason=reason))

    @in_work
    def _note_replayed(
        self, work: Work, letters: tuple[int, ...], destination: str, reason: str
    ) -> None:
        author = work.actor.id
        for seq in letters:
            work.publish(
                LetterReplayed(seq=seq, destination=destination, author=author, reason=reason)
            )

    # ── in ──────────────────────────────────────────────────────────────────────────────────
    def _for_boards(self, message: Message, peer: Peer) -> Plan:
        """The sender may send this; a message that no board takes is the site's routes' alone."""
        self._catalogue.admit(message, peer.address)
        kind = kind_of(message)
        routes = self._routes.inbound(kind)
        if not routes:
            return NOTHING
        return Plan([Lane(BOARDS, message[routes[0].key] or kind)], waits_for=BOARDS)

    async def _apply(self, delivery: Delivery) -> Outcome:
        message = parse(delivery.body)
        system = self._catalogue.sender(message)
        if system is None:
            return Outcome(State.DEAD, "the sender is not configured any more")
        return await self._routes.apply(delivery, message, system)

    async def _denied(self, peer: Peer, denied: NotGranted, kind: str) -> None:
        await self._note_access(peer, f"{kind}: {denied}")

    async def _turned_away(self, peer: Peer, reason: str) -> None:
        await self._note_access(peer, reason)

    async def _note_access(self, peer: Peer, reason: str) -> None:
        request = new_id()
        entry = Access(
            operation="hub.receive",
            result="forbidden",
            actor="system:unknown",
            on_behalf_of=None,
            roles=(),
            device=None,
            address=peer.address,
            campus="",
            patients=(),
            encounters=(),
            reason=reason,
            request=request,
            trace=request.hex,
            arguments_hash=b"",
        )
        await self._runtime.audit.append([entry])

    # ── out ─────────────────────────────────────────────────────────────────────────────────
    def hears(self, board: Board) -> tuple[Reaction, ...]:
        """Reactions to the facts that a board maps to messages."""
        return tuple(
            Reaction(
                name=declared.function.__name__,
                function=partial(self._send_out, declared),
                tag=declared.tag,
                event=declared.event,
                carrying=None,
                needs={},
            )
            for declared in board.interop
            if isinstance(declared, Outbound)
        )

    async def _send_out(self, route: Outbound, event: Any) -> None:
        call = current_call()
        assert call is not None
        assert call.cause is not None
        if not self._catalogue.is_taken(route.service):
            return
        for number, outgoing in enumerate(
            await self._routes.messages_for(route, event, call.cause)
        ):
            for system in self._catalogue.takers(route.service, outgoing.campus):
                id_ = derive(call.cause, route.name, number, system.code)
                message = written(outgoing, system, id=id_, at=self._clock.now())
                await self._put_on_lane(message, Lane(system.code, outgoing.key), id_)

    async def _put_on_lane(self, message: Message, lane: Lane, id_: Any) -> None:
        arrival = Arrival(
            id=id_,
            sender=f"{SENDER}>{lane.destination}",
            control_id=control_id_of(id_),
            kind=kind_of(message),
            body=message.raw,
            at=self._clock.now(),
            subject=message["PID-3"],
        )
        try:
            await self._ledger.append(arrival, [lane])  # a repeat of the fact is found by its id
        except LedgerFailed as failure:
            raise Unavailable("hub", "storage") from failure
        self._lanes.nudge(lane.destination)

    async def _serve(self, system: System) -> None:
        receiver = self._receivers.pop(system.code, None)
        await self._node.leave(system.code)
        if receiver is not None:
            await receiver.close()
        if not (system.is_active and system.host):
            return
        fresh = MllpDestination(lambda: MllpClient(system.host, system.port))
        self._receivers[system.code] = fresh
        await self._node.serve(Destination(system.code, fresh.deliver, POLICY))

    def _folder(self) -> Path:
        folder = str(self._settings["data_folder"])
        if folder:
            return Path(folder)
        self._temporary = tempfile.TemporaryDirectory(prefix="plugward-hub-")
        return Path(self._temporary.name)


def _all_systems(read: Reading) -> tuple[System, ...]:
    return read.find(systems, System, limit=SYSTEMS_MAX, order_by="code")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

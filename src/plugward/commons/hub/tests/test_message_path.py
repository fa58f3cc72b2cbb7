"""From the wire to the ledger to the lane: nothing acknowledged is lost, doubled or reordered."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugward.commons.hub.hl7 import ErrorCode, Hl7Error, Message, acknowledge, parse, parse_path
from plugward.commons.hub.intake import Intake, NotGranted, Plan
from plugward.commons.hub.lanes import DONE, Destination, Failed, Kind, Lanes, Retry
from plugward.commons.hub.ledger import LocalLedger
from plugward.commons.hub.ledger_records import (
    Answered,
    Arrival,
    Delivery,
    Lane,
    LedgerBusy,
    LedgerFailed,
    Outcome,
)
from plugward.commons.hub.ledger_tables import State
from plugward.commons.hub.mllp import Limits, MllpClient, MllpServer, Peer
from plugward.commons.hub.search import Wanted, search
from plugward.kernel.clock import ManualClock
from plugward.kit.ids import new_id

KEEP = Plan()
PEER = Peer("main", "10.1.2.3", 40000)


def adt(control_id: str = "7", patient: str = "P1", name: str = "张示例") -> bytes:
    return (
        f"MSH|^~\\&|REG|C1|HUB|C1|20261122080010||ADT^A28^ADT_A05|{control_id}|P|2.5.1||||||"
        f"UNICODE UTF-8\rEVN|A28\rPID|1||{patient}^^^C1^PI||{name}\r"
    ).encode()


class Node:
    """The message path of one hub node."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.clock = ManualClock("2026-03-02 08:00")
        self.ledger = LocalLedger(folder / "hub.sqlite", self.clock.now)
        self.lanes = Lanes(self.ledger, self.clock)
        self.denied: list[str] = []
        self.plan = plan
        self.intake = Intake(
            ledger=self.ledger,
            lanes=self.lanes,
            clock=self.clock,
            decide=self.decide,
            denied=self._denied,
            reply_s_max=0.3,
        )

    def decide(self, message: Message, _: Peer) -> Plan:
        if message["MSH-3"] == "STRANGER":
            raise NotGranted("sender unknown", code=ErrorCode.UNKNOWN_KEY, at=parse_path("MSH-3"))
        lanes = [Lane(to, message["PID-3"]) for to in sorted(self.plan.destinations)]
        return self.plan._replace(lanes=lanes)

    async def _denied(self, peer: Peer, denied: NotGranted, kind: str) -> None:
        self.denied.append(f"{peer.address} {kind} {denied.at}")

    async def send(self, raw: bytes) -> Message:
        return parse(await self.intake.handle(raw, PEER))

    def has_rested(self) -> bool:
        """Whether nothing is being delivered to LIS, and all that was is noted."""
        worker = self.lanes._workers["LIS"]
        return not (worker._runs or worker._busy or worker._beyond)


@asynccontextmanager
async def running(folder: Path, plan: Plan = KEEP) -> AsyncIterator[Node]:
    node = Node(folder, plan)
    await node.ledger.start()
    try:
        yield node
    finally:
        await node.lanes.stop()
        await node.ledger.stop()


TO_LIS = Plan(lanes=[Lane("LIS", "")])
APPLIED = Plan(lanes=[Lane("boards", "")], waits_for="boards")


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event of its own
            await asyncio.sleep(0.005)


# Durable before AA


async def test_a_message_is_in_the_file_when_it_is_acknowledged(tmp_path: Path) -> None:
    async with running(tmp_path) as node:
        answer = await node.send(adt())
        assert (answer["MSA-1"], answer["MSA-2"]) == ("AA", "7")
        with sqlite3.connect(tmp_path / "hub.sqlite") as other:
            assert other.execute("SELECT body FROM message").fetchall() == [(adt(),)]


async def test_a_full_disk_is_an_error_to_the_sender_and_never_an_aa(tmp_path: Path) -> None:
    async with running(tmp_path) as node:
        await node.send(adt("1"))
        # What a full disk does to the ledger's one writer, from inside it.
        await node.ledger._submit(lambda c: c.execute("PRAGMA max_page_count = 1") and None)
        answers = [await node.send(adt(str(n), name="x" * 9000)) for n in range(2, 6)]
        assert {answer["MSA-1"] for answer in answers} == {"AE"}
        assert answers[0]["ERR-3"] == "207"
        await node.ledger._submit(lambda c: c.execute("PRAGMA max_page_count = 100000") and None)
        assert (await node.send(adt("2", name="x" * 9000)))["MSA-1"] == "AA"
        assert (await node.ledger.counts())["messages"] == 2


async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from plugward.commons.hub.tests.test_message_path import KEEP, Node, adt, PEER\n"
        "async def main():\n"
        "    node = Node(pathlib.Path(sys.argv[1]), KEEP); await node.ledger.start()\n"
        "    for n in range(100000):\n"
        "        await node.intake.handle(adt(str(n)), PEER)\n"
        "        print(n, flush=True)\n"
        "asyncio.run(main())\n"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    acknowledged = [int(await child.stdout.readline()) for _ in range(50)]
    child.kill()
    acknowledged += [int(line) for line in (await child.stdout.read()).splitlines()]
    await child.wait()
    async with running(tmp_path) as node:
        assert (await node.ledger.counts())["messages"] >= len(acknowledged)
        again = await node.send(adt(str(acknowledged[-1])))
        assert again["MSA-1"] == "AA"


async def test_one_bad_write_in_a_group_fails_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as node:
        good = Arrival(new_id(), "REG|C1", "1", "ADT^A28", adt(), node.clock.now())

        def bad(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO nowhere VALUES (1)")

        results = await asyncio.gather(
            node.ledger.append(good),
            node.ledger._submit(bad),
            node.ledger.append(Arrival(new_id(), "REG|C1", "2", "ADT^A28", b"x", good.at)),
            return_exceptions=True,
        )
        assert isinstance(results[1], LedgerFailed)
        assert (await node.ledger.counts())["messages"] == 2


async def test_more_than_may_wait_is_refused_so_the_sender_slows_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugward.commons.hub.ledger.WAITING_MAX", 0)
    async with running(tmp_path) as node:
        assert (await node.send(adt()))["MSA-1"] == "AE"
        with pytest.raises(LedgerBusy):
            await node.ledger.settle([])


# Repeats


async def test_a_repeat_gets_the_first_answer_again(tmp_path: Path) -> None:
    async with running(tmp_path) as node:
        first = await node.send(adt())
        await node.clock.advance("2026-03-02 09:00")
        assert (await node.send(adt())).raw == first.raw
        assert (await node.ledger.counts())["messages"] == 1


async def test_a_control_id_used_for_another_content_is_an_error_with_the_reason(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as node:
        await node.send(adt())
        answer = await node.send(adt(name="李示例"))
        assert (answer["MSA-1"], answer["ERR-2.1"], answer["ERR-2.3"]) == ("AE", "MSH", "10")
        assert answer["ERR-3"] == "205"
        assert answer["ERR-8"] == "该消息控制号已用于不同内容的报文"
        [(_, _, reason, body)] = await node.ledger.refusals()
        assert "control id" in reason
        assert body == adt(name="李示例")


async def test_control_ids_may_start_anew_after_the_window(tmp_path: Path) -> None:
    async with running(tmp_path) as node:
        await node.send(adt())
        await node.clock.advance(timedelta(days=31))
        assert (await node.send(adt(name="李示例")))["MSA-1"] == "AA"


# Refusals


async def test_sec_hub_01_a_sender_without_a_grant_gets_ar_and_an_audit_entry(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as node:
        answer = await node.send(adt().replace(b"|REG|", b"|STRANGER|"))
        assert (answer["MSA-1"], answer["ERR-2.1"], answer["ERR-2.3"]) == ("AR", "MSH", "3")
        assert node.denied == ["10.1.2.3 ADT^A28 MSH[1]-3"]
        assert (await node.ledger.counts()).get("messages", 0) == 0


@pytest.mark.parametrize(
    ("raw", "code", "place"),
    [
        (b"not HL7 at all", "AR", "MSH^1"),
        (adt().replace(b"|7|P", b"||P"), "AR", "MSH^1^10"),
        (adt().decode().encode("gb18030"), "AE", "MSH^1^18"),
        (adt() + b"MSH|^~\\&|X\r", "AR", "MSH^2"),
    ],
)
async def test_malformed_input_is_answered_with_its_place_and_kept(
    tmp_path: Path, raw: bytes, code: str, place: str
) -> None:
    async with running(tmp_path) as node:
        answer = await node.send(raw)
        assert (answer["MSA-1"], answer.raw_text("ERR-2")) == (code, place)
        [(_, peer, _, body)] = await node.ledger.refusals()
        assert (peer, body) == ("main 10.1.2.3", raw)


# Lanes


async def test_messages_of_one_patient_arrive_in_order_and_a_failing_one_holds_only_itself(
    tmp_path: Path,
) -> None:
    arrived: list[str] = []
    is_down = True

    async def deliver(delivery: Delivery) -> Outcome:
        if delivery.key == "P2" and is_down:
            raise Failed("LIS says AE")
        arrived.append(f"{delivery.key}:{delivery.control_id}")
        return DONE

    async with running(tmp_path, TO_LIS) as node:
        node.lanes.add(Destination("LIS", deliver, Retry(first_s=60)))
        for n, patient in enumerate(["P1", "P2", "P1", "P2", "P3"]):
            await node.send(adt(str(n), patient))
        await wait_until(lambda: len(arrived) == 3)
        await wait_until(node.has_rested)
        assert arrived == ["P1:0", "P1:2", "P3:4"]
        [held, _] = await node.ledger.waiting()
        assert (held.key, held.attempts, held.reason) == ("P2", 1, "LIS says AE")
        is_down = False
        await node.clock.advance(timedelta(seconds=61))
        await wait_until(lambda: len(arrived) == 5)
        assert arrived[3:] == ["P2:1", "P2:3"]
        await wait_until(node.has_rested)
        assert await node.ledger.counts() == {"messages": 5, "done": 5}


async def test_pauses_grow_and_what_fails_too_often_is_a_visible_dead_letter(
    tmp_path: Path,
) -> None:
    tried: list[int] = []

    async def deliver(delivery: Delivery) -> Outcome:
        tried.append(delivery.seq)
        raise Failed("down")

    def had(tries: int) -> bool:
        pauses = node.clock.next_due is not None and node.clock.next_due > node.clock.now()
        return len(tried) == tries and (pauses or tries == 3)

    async with running(tmp_path, TO_LIS) as node:
        node.lanes.add(Destination("LIS", deliver, Retry(first_s=10, attempts_max=3)))
        await node.send(adt())
        for tries, pause in enumerate((10, 20), 1):
            await wait_until(partial(had, tries))
            due = node.clock.next_due
            assert due is not None
            assert round((due - node.clock.now()).total_seconds()) == pause
            await node.clock.advance(due)
        await wait_until(partial(had, 3))
        await wait_until(node.has_rested)
        [letter] = await node.ledger.dead_letters()
        assert letter.reason == "given up after 3 attempts: down"
        assert await node.ledger.replay(letter.seq, Lane(letter.destination, letter.key))
        node.lanes.nudge("LIS")
        await wait_until(lambda: len(tried) == 4)


async def test_a_connector_that_breaks_gives_up_its_letter_and_the_lane_goes_on(
    tmp_path: Path,
) -> None:
    arrived: list[str] = []

    async def deliver(delivery: Delivery) -> Outcome:
        if delivery.control_id == "0":
            raise KeyError("a bug")
        arrived.append(delivery.control_id)
        return DONE

    async with running(tmp_path, TO_LIS) as node:
        node.lanes.add(Destination("LIS", deliver))
        await node.send(adt("0"))
        await node.send(adt("1"))
        await wait_until(lambda: arrived == ["1"])
        await wait_until(node.has_rested)
        [letter] = await node.ledger.dead_letters()
        assert (letter.control_id, letter.reason) == ("0", "fault: KeyError")


async def test_what_waited_at_a_stop_is_delivered_after_the_next_start(tmp_path: Path) -> None:
    async with running(tmp_path, TO_LIS) as node:
        for n in range(100):
            await node.send(adt(str(n), f"P{n % 3}"))
    arrived: list[str] = []

    async def deliver(delivery: Delivery) -> Outcome:
        arrived.append(f"{delivery.key}:{delivery.control_id}")
        return DONE

    async with running(tmp_path, TO_LIS) as node:
        node.lanes.add(Destination("LIS", deliver, parallel=2))
        await wait_until(lambda: len(arrived) == 100)
    for patient in range(3):
        own = [int(entry.split(":")[1]) for entry in arrived if entry.startswith(f"P{patient}:")]
        assert own == sorted(own)


# Applied before AA


async def test_a_refusal_of_the_board_is_the_answer_and_a_later_try_is_a_new_one(
    tmp_path: Path,
) -> None:
    known: set[str] = set()

    async def apply(delivery: Delivery) -> Outcome:
        message = parse(delivery.body)
        if message["PID-3"] in known:
            reply = acknowledge(message, control_id="A", at=delivery.at)
            return Outcome(State.DONE, reply=reply, code="AA")
        error = Hl7Error("unknown", code=ErrorCode.UNKNOWN_KEY, at=parse_path("PID-3"))
        reply = acknowledge(message, "AE", control_id="A", at=delivery.at, errors=[error])
        return Outcome(State.DEAD, "unknown", reply=reply, code="AE")

    async with running(tmp_path, APPLIED) as node:
        node.lanes.add(Destination("boards", apply))
        assert (await node.send(adt()))["MSA-1"] == "AE"
        assert (await node.send(adt()))["ERR-2.3"] == "3"
        known.add("P1")
        assert (await node.send(adt()))["MSA-1"] == "AA"
        known.clear()
        assert (await node.send(adt()))["MSA-1"] == "AA"  # it was done: the first answer
        assert (await node.ledger.counts()) == {"messages": 1, "done": 1}
        # Corrected under the same control id, after a refusal: that is no clash.
        assert (await node.send(adt("8", "P9")))["MSA-1"] == "AE"
        known.add("P9")
        assert (await node.send(adt("8", "P9", name="李示例")))["MSA-1"] == "AA"


async def test_a_board_that_is_away_does_not_cost_the_sender_its_message(tmp_path: Path) -> None:
    is_away = True
    applied: list[str] = []

    async def apply(delivery: Delivery) -> Outcome:
        if is_away:
            raise Failed("patients is unplugged")
        applied.append(delivery.control_id)
        return Outcome(State.DONE, reply=b"MSH|", code="AA")

    async with running(tmp_path, APPLIED) as node:
        node.lanes.add(Destination("boards", apply, Retry(first_s=5)))
        assert (await node.send(adt("1")))["MSA-1"] == "AA"
        is_away = False
        await wait_until(lambda: node.clock.next_due is not None)
        await node.clock.advance(timedelta(seconds=6))
        await wait_until(lambda: applied == ["1"])
        assert (await node.send(adt("1")))["MSA-1"] == "AA"
        assert applied == ["1"]


async def test_a_slow_board_gets_its_message_once_though_the_sender_repeats(
    tmp_path: Path,
) -> None:
    release = asyncio.Event()
    applied: list[str] = []

    async def apply(delivery: Delivery) -> Outcome:
        await release.wait()
        applied.append(delivery.control_id)
        return DONE

    async with running(tmp_path, APPLIED) as node:
        node.lanes.add(Destination("boards", apply))
        answers = await asyncio.gather(node.send(adt()), node.send(adt()))
        assert [answer["MSA-1"] for answer in answers] == ["AA", "AA"]
        release.set()
        await wait_until(lambda: applied == ["7"])
        await node.send(adt())
        assert applied == ["7"]


async def test_the_answer_given_with_the_message_is_the_one_repeated(tmp_path: Path) -> None:
    async with running(tmp_path) as node:
        arrival = Arrival(new_id(), "A|B", "1", "ADT^A28", b"body", node.clock.now())
        first = await node.ledger.append(arrival, answered=Answered(b"yes", "AA"))
        again = await node.ledger.append(arrival)
        assert (first.is_new, again.is_new, again.answer, again.code) == (True, False, b"yes", "AA")
        assert await node.ledger.body(first.seq) == b"body"


async def test_a_fault_of_ours_is_an_error_to_the_sender_and_a_dead_letter_here(
    tmp_path: Path,
) -> None:
    async def breaks(_delivery: Delivery) -> Outcome:
        raise KeyError("a bug in a mapping")

    async with running(tmp_path, APPLIED) as node:
        node.lanes.add(Destination("boards", breaks))
        answer = await node.send(adt())
        assert (answer["MSA-1"], answer["ERR-3"]) == ("AE", "207")
        assert "a bug" not in answer.text
        [letter] = await node.ledger.dead_letters()
        assert letter.reason == "fault: KeyError"


@settings(max_examples=25, deadline=None)
@given(noise=st.binary(max_size=400), is_framed=st.booleans())
def test_sec_hub_03_noise_is_answered_or_closed_and_the_next_sender_is_served(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, is_framed: bool
) -> None:
    async def attack() -> None:
        async with running(tmp_path_factory.mktemp("noise")) as node:
            limits = Limits(idle_in_frame_s=0.05, looked_after_every_s=0.02)
            server = MllpServer(node.intake.handle, node.intake.refuse_frame, limits=limits)
            port = await server.start("127.0.0.1", 0)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\x0b" + noise + b"\x1c\r" if is_framed else noise)
            writer.write_eof()
            async with asyncio.timeout(5):
                await reader.read()
            writer.close()
            client = MllpClient("127.0.0.1", port)
            assert b"MSA|AA|7" in await client.send(adt())
            await client.close()
            await server.stop()
            assert server.partial_bytes == 0

    asyncio.run(attack())


async def test_a_ledger_of_the_first_shape_is_carried_over_with_what_waits(tmp_path: Path) -> None:
    """Its deliveries were one a message and lane; none is lost, and they go out in order."""
    first_shape = """
    CREATE TABLE message (
        seq INTEGER PRIMARY KEY, id BLOB NOT NULL, sender TEXT NOT NULL, control_id TEXT NOT NULL,
        digest BLOB NOT NULL, kind TEXT NOT NULL, peer TEXT NOT NULL, received_at INTEGER NOT NULL,
        body BLOB NOT NULL, answer BLOB, code TEXT NOT NULL DEFAULT '');
    CREATE TABLE delivery (
        destination TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending', attempts INTEGER NOT NULL DEFAULT 0,
        reason TEXT NOT NULL DEFAULT '', settled_at INTEGER, answer BLOB,
        PRIMARY KEY (destination, key, seq)) WITHOUT ROWID;
    CREATE INDEX delivery_open ON delivery (state, seq) WHERE state <> 'done';
    CREATE INDEX delivery_pending ON delivery (destination, key, seq) WHERE state = 'pending';
    CREATE TABLE lane (
        destination TEXT NOT NULL, key TEXT NOT NULL, due_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (destination, key)) WITHOUT ROWID;
    """
    with sqlite3.connect(tmp_path / "hub.sqlite") as before:
        before.executescript(first_shape)
        for seq in (1, 2):
            row = (seq, new_id().bytes, "REG|C1", str(seq), b"", "ADT^A28", "", 0, adt(str(seq)))
            before.execute("INSERT INTO message VALUES (?,?,?,?,?,?,?,?,?, NULL, '')", row)
            before.execute(
                "INSERT INTO delivery (destination, key, seq) VALUES ('LIS', 'P', ?)", (seq,)
            )
        before.execute("INSERT INTO lane (destination, key, due_at) VALUES ('LIS', 'P', 0)")
    before.close()
    async with running(tmp_path) as node:
        assert node.ledger.pending == {"LIS": 2}
        heads = node.ledger.heads("LIS", lanes=8, per_lane=8)
        assert [(one.seq, one.control_id, one.part) for one in heads] == [(1, "1", 0), (2, "2", 0)]


async def test_an_outage_does_not_use_up_the_patience_for_refusals(tmp_path: Path) -> None:
    """Five failed connections, then AE: the receiver still gets its full number of tries."""
    kinds = [Kind.CONNECT] * 5 + [Kind.ERROR] * 2
    policy: dict[str, Retry] = {
        Kind.ERROR: Retry(first_s=1.0, factor=1.0, attempts_max=3),
        Kind.CONNECT: Retry(first_s=1.0, factor=1.0),
    }
    tried: list[str] = []

    async def deliver(_: Delivery) -> Outcome:
        kind = kinds[len(tried)] if len(tried) < len(kinds) else ""
        tried.append(kind)
        if kind:
            raise Failed("no", kind)
        return DONE

    async with running(tmp_path, TO_LIS) as node:
        node.lanes.add(Destination("LIS", deliver, policy))
        assert (await node.send(adt()))["MSA-1"] == "AA"
        for attempt in range(1, len(kinds) + 1):
            await wait_until(partial(lambda count: len(tried) >= count, attempt))
            await wait_until(lambda: node.clock.next_due is not None)
            await node.clock.advance(timedelta(seconds=2))
        await wait_until(lambda: node.ledger.pending["LIS"] == 0)
        assert not await node.ledger.dead_letters()
    assert tried == [*kinds, ""]


async def test_a_ledger_of_the_second_shape_can_be_searched_afterwards(tmp_path: Path) -> None:
    """It was not found by patient, and kept no times of attempts; what waits goes on."""
    async with running(tmp_path, TO_LIS) as node:
        await node.send(adt("1"))
    with sqlite3.connect(tmp_path / "hub.sqlite") as before:
        before.executescript(
            "DROP INDEX message_subject; DROP INDEX message_kind; DROP INDEX message_control;"
            "DROP TABLE attempt; ALTER TABLE message DROP COLUMN subject;"
            "ALTER TABLE delivery DROP COLUMN took; PRAGMA user_version = 2;"
        )
    before.close()
    async with running(tmp_path, TO_LIS) as node:
        await node.send(adt("2"))
        for one in node.ledger.heads("LIS", lanes=8, per_lane=8):
            await node.ledger.settle([(one, Outcome(State.DEAD, "AR", took_us=7))])
        [new] = (await node.ledger.read(lambda c: search(c, Wanted(text="P1")))).messages
        assert (new.control_id, new.ends[0].took_us) == ("2", 7)
        [old] = (await node.ledger.read(lambda c: search(c, Wanted(text="1")))).messages
        assert (old.subject, old.ends[0].state) == ("", State.DEAD)

"""The hub as a board: systems, letters and calls to the outside, on both transports."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from plugward.commons.hub.board import board
from plugward.commons.hub.contract import (
    Hub,
    LetterNotFound,
    LetterReplayed,
    LetterState,
    LineState,
    MessageNotFound,
    MessageOpened,
    MessageSearch,
    ReasonNeeded,
    System,
    SystemConfigured,
    SystemInvalid,
)
from plugward.commons.hub.drawing import map_of
from plugward.commons.hub.hl7 import parse
from plugward.commons.hub.ledger import LocalLedger
from plugward.commons.hub.ledger_records import Arrival, Lane, Outcome
from plugward.commons.hub.ledger_tables import State
from plugward.commons.hub.measures import Direction, Measures
from plugward.commons.hub.mllp import MllpClient
from plugward.commons.hub.overview import line, line_state, quarters
from plugward.commons.hub.service import HubService
from plugward.kernel import Message, Unavailable
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.clock import ManualClock
from plugward.kernel.envelope import Call, Envelope, acting_as, calling
from plugward.kernel.manifest import ManifestError
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.testing import TRANSPORTS, Bench, a_tester
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_time
from plugward.vocabulary import CampusCode

REG = System(
    code="REG-C1",
    name="挂号（模拟）",
    campus=CampusCode("C1"),
    application="REG",
    facility="C1",
    may_send=("ADT^A28",),
)
A28 = (
    "MSH|^~\\&|REG|C1|HUB|C1|20260302080010||ADT^A28^ADT_A05|1|P|2.5.1||||||UNICODE UTF-8\r"
    "PID|1||P1^^^C1^PI||张示例||19900101|M\r"
).encode()


class Charge(Message):
    """What a board asks of the simulated payment channel."""

    action: str
    serial: str
    amount: int
    original: str = ""


class Charged(Message):
    """What it wants to know of the answer."""

    serial: str
    outcome: str


CHARGE = Charge(action="charge", serial="S1", amount=1250)


@pytest.fixture(params=TRANSPORTS)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    made = Bench(
        board,
        transport=request.param,
        now="2026-03-02 08:00",
        settings={"mllp_port": 0, "listen": "always"},
    )
    yield made
    await made.stop()


def service_of(bench: Bench) -> HubService:
    service = bench.service
    assert isinstance(service, HubService)
    return service


async def test_a_configured_system_is_known_with_its_grants(bench: Bench) -> None:
    """登记一个院外系统：授权、状态可查。"""
    hub = bench.client(Hub)
    assert await hub.configure(REG) == REG
    [configured] = bench.published(SystemConfigured)
    assert configured.system == REG
    [status] = await hub.systems()
    assert (status.system, status.received, status.waiting, status.dead) == (REG, 0, 0, 0)
    await hub.configure(REG.replace(name="挂号二"))
    [status] = await hub.systems()
    assert status.system.name == "挂号二"


async def test_a_configuration_sent_twice_happens_once(bench: Bench) -> None:
    hub, id_ = bench.client(Hub), new_id()
    for _ in range(2):
        with bench.request(id_):
            await hub.configure(REG)
    assert len(bench.published(SystemConfigured)) == 1


async def test_the_systems_page_asks_the_database_nothing_however_many_there_are(
    bench: Bench,
) -> None:
    hub = bench.client(Hub)
    for number in range(30):
        await hub.configure(REG.replace(code=f"S{number}", application=f"APP{number}"))
    with bench.queries(at_most=0):
        assert len(await hub.systems()) == 30


async def test_two_systems_cannot_have_one_name_on_the_wire(bench: Bench) -> None:
    hub = bench.client(Hub)
    await hub.configure(REG)
    with pytest.raises(SystemInvalid):
        await hub.configure(REG.replace(code="OTHER"))


async def test_a_granted_message_that_no_board_takes_is_asked_for_again(bench: Bench) -> None:
    """授权了但目前没有业务板处理：AE，请稍后重发；原文留存。"""
    await bench.client(Hub).configure(REG)
    client = MllpClient("127.0.0.1", service_of(bench).port)
    answer = parse(await client.send(A28))
    assert (answer["MSA-1"], answer["MSA-2"], answer["ERR-3"]) == ("AE", "1", "201")
    await client.close()


async def test_what_is_not_there_cannot_be_opened_or_replayed(bench: Bench) -> None:
    hub = bench.client(Hub)
    assert await hub.letters(LetterState.DEAD) == ()
    with pytest.raises(MessageNotFound):
        await hub.open_message(1, "核对")
    with pytest.raises(LetterNotFound):
        await hub.replay(1, "LIS", "P1", "重投")
    with pytest.raises(ReasonNeeded):
        await hub.open_message(1, " ")
    with pytest.raises(ReasonNeeded):
        await hub.replay(1, "LIS", "P1", "")


async def test_sec_identity_21_what_a_system_may_do_ends(bench: Bench) -> None:
    """SEC-IDENTITY-21: 院外系统的授权有期限，最长一年；到期即拒收并留痕。"""
    hub = bench.client(Hub)
    with pytest.raises(SystemInvalid):
        await hub.configure(REG.replace(until=bench.clock.now() + timedelta(days=400)))
    await hub.configure(REG.replace(until=bench.clock.now() + timedelta(hours=1)))
    client = MllpClient("127.0.0.1", service_of(bench).port)
    assert b"|AE|" in await client.send(A28)  # granted; no board takes it here
    await bench.clock.advance(timedelta(hours=2))
    assert b"|AR|" in await client.send(A28.replace(b"|1|P", b"|2|P"))
    await client.close()
    [entry] = bench.runtime.audit.entries(operation="hub.receive")
    assert (entry.body["result"], "has ended" in entry.body["reason"]) == ("forbidden", True)


async def test_the_systems_of_an_older_hospital_go_on_without_an_end(tmp_path: Path) -> None:
    """The store of a release that knew no end of a grant is brought up when it is opened."""

    async def opened() -> Runtime:
        clock = ManualClock("2026-03-02 08:00")
        runtime = Runtime(Databases(tmp_path), clock, AuditLog(None, clock))
        await runtime.start([board])
        return runtime

    runtime = await opened()
    with acting_as(a_tester()):
        await runtime.client(Hub).configure(REG)
    await runtime.stop()
    with sqlite3.connect(tmp_path / "hub.sqlite") as db:
        db.execute("ALTER TABLE hub_system DROP COLUMN until")
        db.execute("DELETE FROM hub_sys_migration WHERE number = 1")
    runtime = await opened()
    with acting_as(a_tester()):
        [status] = await runtime.client(Hub).systems()
    assert status.system == REG
    await runtime.stop()


async def test_sec_hub_02_plain_mllp_beyond_this_machine_needs_a_reason() -> None:
    """SEC-HUB-02: 非本机的明文 MLLP 须写明理由，否则拒绝启动。"""
    settings = {"mllp_port": 0, "listen": "always", "host": "0.0.0.0"}  # noqa: S104 - what is refused here
    with pytest.raises(ManifestError, match="needs a reason"):
        await Bench(board, settings=settings).ready()
    reasoned = Bench(board, settings={**settings, "plain_reason": "own VLAN until TLS"})
    await reasoned.ready()
    assert service_of(reasoned).port
    await reasoned.stop()


# ── calls to the outside ────────────────────────────────────────────────────────────────────


async def test_a_call_to_a_service_that_is_not_there_is_unplugged(bench: Bench) -> None:
    await bench.ready()
    with pytest.raises(Unavailable, match="unplugged"):
        await bench.runtime.outside.send("payment-channel", CHARGE, Charged)


async def test_an_answer_nobody_understands_and_a_broken_line_are_unknown(bench: Bench) -> None:
    await bench.ready()

    async def garbage(_body: bytes) -> bytes:
        return b"<html>502</html>"

    async def broken(_body: bytes) -> bytes:
        raise ConnectionResetError

    for connector, reason in ((garbage, "answer"), (broken, "link")):
        service_of(bench).connect("payment-channel", connector)
        with pytest.raises(Unavailable, match=reason):
            await bench.runtime.outside.send("payment-channel", CHARGE, Charged)
    meter = bench.runtime.meters.by_operation["hub.send.payment-channel"]
    assert meter.outcomes == {"unavailable": 2}


async def test_a_slow_service_is_left_when_the_caller_has_no_time_left(bench: Bench) -> None:
    await bench.ready()

    async def slow(_body: bytes) -> bytes:
        await asyncio.sleep(60)
        return b""

    service_of(bench).connect("payment-channel", slow)
    call = Call(
        Envelope(request=new_id(), actor=bench.actor, campus="C1", trace="t"),
        deadline=asyncio.get_running_loop().time() + 0.05,
    )
    with calling(call), pytest.raises(Unavailable, match="time-out"):
        await bench.runtime.outside.send("payment-channel", CHARGE, Charged)


# ── the console ─────────────────────────────────────────────────────────────────────────────


def oml(number: int, patient: str = "P0000002096") -> Arrival:
    body = (
        f"MSH|^~\\&|PLUGWARD|C1|LIS|C1|20260302||OML^O21^OML_O21|X{number}|P|2.5.1||||||UNICODE "
        f"UTF-8\rPID|1||{patient}||张示例\rORC|NW|L1\r"
    ).encode()
    return Arrival(
        id=new_id(),
        sender="PLUGWARD>LIS",
        control_id=f"X{number}",
        kind="OML^O21",
        body=body,
        at=hospital_time(f"2026-03-02 07:{number:02d}"),
        subject=patient,
    )


async def kept(bench: Bench, *arrivals: Arrival) -> LocalLedger:
    await bench.ready()
    ledger = service_of(bench)._ledger
    for one in arrivals:
        await ledger.append(one, [Lane("LIS", one.subject)])
    return ledger


async def given_up(ledger: LocalLedger) -> None:
    """Somebody at LIS says AR to all that waits there."""
    for one in ledger.heads("LIS", lanes=9, per_lane=9):
        await ledger.settle([(one, Outcome(State.DEAD, "AR 项目未登记", took_us=5_000_000))])


async def test_messages_are_found_by_any_field_and_never_show_whom_they_are_about(
    bench: Bench,
) -> None:
    await kept(bench, *(oml(n, patient=f"P000000{n}096") for n in range(3)))
    hub = bench.client(Hub)

    async def found(search: MessageSearch) -> list[str]:
        return [one.control_id for one in (await hub.messages(search)).messages]

    assert await found(MessageSearch()) == ["X2", "X1", "X0"]
    assert await found(MessageSearch(text="X1")) == ["X1"]
    assert await found(MessageSearch(text="P0000002096")) == ["X2"]
    assert await found(MessageSearch(kind="OML^O21", sender="PLUGWARD>LIS", before=2)) == ["X0"]
    assert await found(MessageSearch(kind="ORU^R01")) == []
    assert await found(MessageSearch(destination="LIS", state="pending")) == ["X2", "X1", "X0"]
    assert await found(MessageSearch(destination="EMR")) == []
    since = hospital_time("2026-03-02 07:01")
    assert await found(MessageSearch(since=since)) == ["X2", "X1"]
    assert await found(MessageSearch(until=since)) == ["X0"]
    [one] = (await hub.messages(MessageSearch(text="X1"))).messages
    assert one.subject == "****1096"


async def test_a_search_that_finds_more_than_a_page_says_where_to_go_on(bench: Bench) -> None:
    await kept(bench, *(oml(n) for n in range(60)))
    hub = bench.client(Hub)
    first = await hub.messages(MessageSearch())
    assert (len(first.messages), first.before) == (50, 11)
    second = await hub.messages(MessageSearch(before=first.before))
    assert (len(second.messages), second.before) == (10, 0)


async def test_a_dead_letter_is_traced_opened_with_a_reason_and_sent_again(bench: Bench) -> None:
    """死信：可追踪每次失败，写明原因方可看原文（含十六进制），再批量重放。"""
    ledger = await kept(bench, oml(1), oml(2))
    await given_up(ledger)
    hub = bench.client(Hub)
    trace = await hub.trace(1)
    [attempt] = trace.attempts
    assert (attempt.destination, attempt.took_ms, attempt.reason) == ("LIS", 5000, "AR 项目未登记")
    assert [(end.state, end.attempts) for end in trace.message.ends] == [("dead", 1)]
    with pytest.raises(MessageNotFound):
        await hub.trace(99)
    opened = await hub.open_message(1, "核对")
    assert "张示例" in opened.text
    assert opened.bytes_shown.startswith("000000  4d 53 48 7c 5e 7e 5c 26")
    assert [one.seq for one in bench.published(MessageOpened)] == [1]
    [line] = [one for one in (await hub.overview()).lines if one.code == "LIS"]
    assert (line.dead, line.state) == (2, LineState.DEGRADED)
    with pytest.raises(ReasonNeeded):
        await hub.replay_all("LIS", " ")
    assert await hub.replay_all("LIS", "对方已补项目") == 2
    assert [one.seq for one in bench.published(LetterReplayed)] == [1, 2]
    assert (await ledger.backlog(State.PENDING), await ledger.dead_letters()) == ({"LIS": 2}, [])


@pytest.mark.parametrize(
    ("failed", "waiting", "dead", "state"),
    [
        (0, 0, 0, LineState.OK),
        (1, 0, 0, LineState.DEGRADED),
        (0, 0, 1, LineState.DEGRADED),
        (9, 3, 0, LineState.DOWN),
        (9, 0, 0, LineState.DEGRADED),
    ],
)
def test_a_line_is_down_when_most_of_it_fails_and_something_waits(
    failed: int, waiting: int, dead: int, state: LineState
) -> None:
    measures = Measures()
    at = hospital_time("2026-03-02 08:00")
    for number in range(10):
        error = "connect" if number < failed else ""
        measures.count("LIS", "OML^O21", Direction.OUT, at=at, seconds=0.01, error=error)
    [row] = measures.rows(at)
    assert line_state(row, waiting, dead) is state


def test_throughput_is_told_in_quarters_and_the_map_puts_what_fails_first() -> None:
    minutes = [(n, 60, 6 if n >= 15 else 0) for n in range(30)]
    assert [(one.per_minute, one.error_rate) for one in quarters(minutes)] == [(60, 0), (60, 0.1)]
    lines = [
        line(f"S{n}", f"S{n}", None, is_receiver=True, dead=1 if n == 7 else 0) for n in range(9)
    ]
    drawn = map_of(tuple(lines))
    assert [box.line.code for box in drawn.boxes] == ["S7", "S0", "S1", "S2", "S3"]
    assert drawn.more == 4

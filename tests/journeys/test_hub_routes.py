"""The site's own routes: tested before they are in force, changed without a dropped connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypedDict

import pytest

from plugward.cli.hub_verbs import new_token
from plugward.commons.hub.alone import CannotListen, Doors, Options, listening
from plugward.commons.hub.contract import Hub, System
from plugward.commons.hub.figures import figures
from plugward.commons.hub.hl7 import Message, parse
from plugward.commons.hub.ledger_records import Lane
from plugward.commons.hub.ledger_tables import State
from plugward.commons.hub.mllp import MllpClient
from plugward.commons.hub.routing.book import RouteBook
from plugward.commons.hub.routing.compiled import RouteInvalid
from plugward.commons.hub.routing.difference import Change, changes
from plugward.kernel.envelope import acting_as
from plugward.kit.time import Instant, hospital_time
from plugward.sim.outside.lis import SimulatedLis
from plugward.vocabulary import CampusCode
from tests.journeys.test_outside_systems import ENGINEER, hospital, pid

AT = hospital_time("2026-03-02 08:00")


class Said(TypedDict):
    by: str
    why: str
    at: Instant


SAID = Said(by="engineer", why="test", at=AT)


def adt(control_id: str, sex: str = "M", patient: str = "P1") -> bytes:
    return (
        f"MSH|^~\\&|REG|C1|HUB|C1|20261122080010||ADT^A08^ADT_A01|{control_id}|P|2.5.1||||||"
        f"UNICODE UTF-8\rEVN|A08\rPID|1||{patient}^^^C1^PI||张示例||19900101|{sex}\r"
    ).encode()


def site(data: Path, *destinations: str) -> RouteBook:
    data.mkdir(exist_ok=True)
    told = destinations or ('[archive]\nkind = "files"\nfolder = "archive"\n',)
    (data / "destinations.toml").write_text("".join(told), "utf-8")
    book = RouteBook(data / "routes")
    book.new("sex")
    return book


def rewrite(book: RouteBook, old: str, new: str, part: str = "route.py") -> None:
    path = book.folder / "sex" / part
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@asynccontextmanager
async def hub(data: Path) -> AsyncIterator[tuple[Doors, MllpClient]]:
    async with listening(Options(data=data, mllp_port=0)) as doors:
        client = MllpClient("127.0.0.1", doors.mllp_port)
        try:
            yield doors, client
        finally:
            await client.close()


async def send(client: MllpClient, raw: bytes) -> Message:
    return parse(await client.send(raw))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event of its own
            await asyncio.sleep(0.01)


def archived(data: Path) -> list[Message]:
    return [parse(path.read_bytes()) for path in sorted((data / "archive").glob("*.hl7"))]


# The book


def test_a_new_route_passes_its_own_case_and_is_not_in_force(tmp_path: Path) -> None:
    book = site(tmp_path)
    assert book.test("sex") == []
    assert (book.names(), book.active()) == (["sex"], {})


def test_a_route_whose_case_fails_is_not_activated(tmp_path: Path) -> None:
    book = site(tmp_path)
    rewrite(book, "M,1,男", "M,9,男", "tables/sex.csv")
    with pytest.raises(RouteInvalid, match="PID-8 is '9', not '1'"):
        book.activate("sex", **SAID)
    assert book.active() == {}


def test_a_route_without_a_case_is_not_activated(tmp_path: Path) -> None:
    book = site(tmp_path)
    (book.folder / "sex" / "cases" / "first.toml").unlink()
    with pytest.raises(RouteInvalid, match="no case"):
        book.activate("sex", **SAID)


def test_versions_differ_are_told_apart_and_one_command_leads_back(tmp_path: Path) -> None:
    book = site(tmp_path)
    assert book.activate("sex", **SAID) == 1
    assert book.activate("sex", **SAID) == 1  # unchanged: the same version
    rewrite(book, "F,2,女", "F,2,女\nO,9,未说明", "tables/sex.csv")
    assert "+O,9,未说明" in book.diff("sex")
    assert book.activate("sex", **SAID) == 2
    assert "+O,9,未说明" in book.diff("sex", 1, 2)
    assert book.rollback("sex", **SAID) == 1
    assert book.active() == {"sex": 1}
    assert [(e["from"], e["to"]) for e in book.history("sex")] == [
        (None, 1),
        (1, 1),
        (1, 2),
        (2, 1),
    ]
    assert [(v.number, v.is_active) for v in book.versions("sex")] == [(1, True), (2, False)]


def test_a_dry_run_shows_what_differs_field_by_field(tmp_path: Path) -> None:
    book = site(tmp_path)
    told = book.dry_run("sex", adt("1").replace(b"\r", b"\n"))
    assert told.sends == (("archive", "P1", (Change("PID-8", "M", "1"),)),)
    assert book.dry_run("sex", adt("1", sex="X")).refused.startswith("PID-8")


def test_a_difference_names_segments_that_come_and_go() -> None:
    before = adt("1") + b"OBX|1|NM|A\rOBX|2|NM|B\r"
    after = adt("1") + b"OBX|1|NM|A\rOBX|2|NM|C\rNTE|1\r"
    assert changes(before, after) == [
        Change("OBX[2]-3", "B", "C"),
        Change("NTE", None, "NTE|1"),
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("import socket", "does not import socket"),
        ("from os import environ", "does not import os"),
        ("open('x')", "does not use open"),
        ("1 / 0", "ZeroDivisionError in line 2"),
        ("def (", "SyntaxError in line 2"),
    ],
)
def test_what_a_route_may_not_be(tmp_path: Path, line: str, told: str) -> None:
    book = site(tmp_path)
    path = book.folder / "sex" / "route.py"
    path.write_text('"""."""\n' + line + "\n\n\ndef route(incoming, tables): ...\n", "utf-8")
    with pytest.raises(RouteInvalid, match=told):
        book.activate("sex", **SAID)


def test_a_table_with_a_doubled_key_is_refused_with_its_line(tmp_path: Path) -> None:
    book = site(tmp_path)
    rewrite(book, "F,2,女", "M,2,女", "tables/sex.csv")
    with pytest.raises(RouteInvalid, match=r"sex\.csv line 3: the key M is there twice"):
        book.test("sex")


# A hub by itself


async def test_a_hub_by_itself_keeps_what_no_route_takes(tmp_path: Path) -> None:
    async with hub(tmp_path) as (_, client):
        assert (await send(client, adt("1")))["MSA-1"] == "AA"
    found = figures(tmp_path)
    assert found is not None
    assert (found.messages, found.pending, found.running) == (1, 0, False)
    assert [(r.system, r.service, r.calls) for r in found.services] == [("REG|C1", "ADT^A08", 1)]


async def test_two_hubs_never_work_on_one_folder(tmp_path: Path) -> None:
    async with hub(tmp_path):
        with pytest.raises(CannotListen, match="another hub"):
            async with hub(tmp_path):
                pass


async def test_a_route_is_activated_and_rolled_back_under_an_open_connection(
    tmp_path: Path,
) -> None:
    book = site(tmp_path)
    async with hub(tmp_path) as (doors, client):
        assert (await send(client, adt("1")))["MSA-1"] == "AA"  # kept; there is no route
        book.activate("sex", **SAID)
        await doors.node.look()
        assert (await send(client, adt("2")))["MSA-1"] == "AA"
        rewrite(book, "M,1,男", "M,7,男", "tables/sex.csv")
        rewrite(book, '"PID-8" = "1"', '"PID-8" = "7"', "cases/first.toml")
        book.activate("sex", **SAID)
        await doors.node.look()
        assert (await send(client, adt("3")))["MSA-1"] == "AA"
        book.rollback("sex", **SAID)
        await doors.node.look()
        assert (await send(client, adt("4")))["MSA-1"] == "AA"
        await until(lambda: len(archived(tmp_path)) == 3)
        assert client.is_connected
    assert [(m["MSH-10"], m["PID-8"]) for m in archived(tmp_path)] == [
        ("2", "1"),
        ("3", "7"),
        ("4", "1"),
    ]


async def test_an_unknown_code_is_told_to_the_sender_and_never_passed_on(tmp_path: Path) -> None:
    site(tmp_path).activate("sex", **SAID)
    async with hub(tmp_path) as (_, client):
        answer = await send(client, adt("1", sex="X"))
        assert (answer["MSA-1"], answer["ERR-8"]) == ("AE", "对照表 sex 中没有此代码")
        assert (await send(client, adt("2")))["MSA-1"] == "AA"


async def test_a_mistake_in_a_route_keeps_the_message_and_waits_for_the_mended_version(
    tmp_path: Path,
) -> None:
    book = site(tmp_path)
    rewrite(
        book, "message = incoming.hl7", "message = incoming.hl7\n    {'P1': 1}[message['PID-3']]"
    )
    rewrite(book, "P0000001", "P1", "cases/first.hl7")
    rewrite(book, "P0000001", "P1", "cases/first.toml")
    book.activate("sex", **SAID)
    async with hub(tmp_path) as (doors, client):
        ledger = doors.node.ledger
        assert (await send(client, adt("1", patient="SECRET")))["MSA-1"] == "AA"
        await until(lambda: ledger.pending["route:sex"] == 0)
        (letter,) = await ledger.dead_letters()
        assert letter.destination == "route:sex"
        assert "KeyError in line" in letter.reason
        assert "SECRET" not in letter.reason
        rewrite(book, "{'P1': 1}[message['PID-3']]", "pass")
        book.activate("sex", **SAID)
        await doors.node.look()
        assert await ledger.replay(letter.seq, Lane("route:sex", ""))
        doors.node.lanes.nudge("route:sex")
        await until(lambda: len(archived(tmp_path)) == 1)
        assert not await ledger.dead_letters()


def lis_at(port: int, more: str = "") -> str:
    return f'[lis]\nkind = "mllp"\nhost = "127.0.0.1"\nport = {port}\n{more}'


def to_lis(book: RouteBook, **told: str) -> None:
    rewrite(book, 'Send("archive"', 'Send("lis"')
    rewrite(book, '"archive"', '"lis"', "cases/first.toml")
    for name, value in told.items():
        usual = {"order": "key", "reply": "durable"}[name]
        rewrite(book, f'{name} = "{usual}"', f'{name} = "{value}"', "route.toml")
    book.activate("sex", **SAID)


async def test_reply_after_delivery_tells_what_the_receiver_said(tmp_path: Path) -> None:
    lis = SimulatedLis(answers=["AA", "AR"])
    book = site(tmp_path, lis_at(await lis.start()))
    to_lis(book, reply="delivered")
    async with hub(tmp_path) as (doors, client):
        assert (await send(client, adt("1")))["MSA-1"] == "AA"
        refused = await send(client, adt("2"))
        assert (refused["MSA-1"], refused["ERR-8"]) == ("AR", "对方拒收")
        await lis.stop()
        kept = await send(client, adt("3"))
        assert (kept["MSA-1"], kept["ERR-8"]) == ("AE", "已存储，尚未送达，平台将继续投递")
        assert (await send(client, adt("3")))["MSA-1"] == "AE"  # asked again, not kept twice
        assert (await doors.node.ledger.counts())["messages"] == 3
    assert len(lis.received) == 1


async def test_strict_order_holds_everything_behind_what_fails(tmp_path: Path) -> None:
    lis = SimulatedLis(answers=["AE", "AA", "AA"])
    told = "retry.error = { first_s = 0.05, factor = 1.0 }\n"
    book = site(tmp_path, lis_at(await lis.start(), told))
    rewrite(book, 'key = "P0000001"', 'key = ""', "cases/first.toml")
    to_lis(book, order="strict")
    async with hub(tmp_path) as (doors, client):
        for number in ("1", "2", "3"):
            await send(client, adt(number, patient=f"P{number}"))
        await until(lambda: doors.node.ledger.pending["lis"] == 0)
    await lis.stop()
    assert [parse(one.encode())["MSH-10"] for one in lis.received] == ["1", "2", "3"]


async def test_a_full_backlog_is_refused_to_the_sender_and_nothing_is_lost(tmp_path: Path) -> None:
    book = site(tmp_path, lis_at(1, "backlog_max = 2\n"))  # nobody listens there
    to_lis(book)
    async with hub(tmp_path) as (doors, client):
        said = [(await send(client, adt(str(n))))["MSA-1"] for n in range(4)]
        assert said == ["AA", "AA", "AE", "AE"]
        assert doors.node.live().pending == {"lis": 2}
        states = [state for n in (1, 2) for _, state, _ in await doors.node.ledger.outcomes(n)]
        assert states == [State.PENDING, State.PENDING]


async def test_a_version_that_does_not_load_leaves_the_one_before_in_force(tmp_path: Path) -> None:
    book = site(tmp_path)
    book.activate("sex", **SAID)
    async with hub(tmp_path) as (doors, client):
        (tmp_path / "routes" / "active.toml").write_text('[routes]\n"sex" = 9\n', "utf-8")
        await doors.node.look()
        assert "no version 9" in doors.node.live().problems["sex"]
        await send(client, adt("1"))
        await until(lambda: len(archived(tmp_path)) == 1)


async def test_the_hospitals_own_hub_takes_the_sites_routes_beside_its_boards(
    tmp_path: Path,
) -> None:
    """本院集成平台：业务板照常入档，路由同时转发；换版、退版均不断连接。"""
    book = site(tmp_path)
    rewrite(book, "ADT^A08", "ADT^A28", "route.toml")
    rewrite(book, "ADT^A08^ADT_A01", "ADT^A28^ADT_A05", "cases/first.hl7")
    async with hospital(tmp_path) as house:
        node = house.house.runtime.plugged["hub"].service._node
        client = MllpClient("127.0.0.1", house.port)

        async def register(number: int) -> str:
            text = house.reg.message("ADT^A28^ADT_A05", pid(f"P{number}"))
            answer = await send(client, text.encode())
            await until(lambda: not node.ledger.pending["archive"])
            return answer["MSA-1"]

        def forwarded() -> list[str]:
            return [one["PID-8"] for one in archived(tmp_path)]

        assert await register(1) == "AA"
        assert forwarded() == []
        book.activate("sex", **SAID)
        await node.look()
        assert await register(2) == "AA"
        assert forwarded() == ["1"]
        rewrite(book, "M,1,男", "M,8,男", "tables/sex.csv")
        rewrite(book, '"PID-8" = "1"', '"PID-8" = "8"', "cases/first.toml")
        assert book.activate("sex", **SAID) == 2
        await node.look()
        assert await register(3) == "AA"
        book.rollback("sex", **SAID)
        await node.look()
        assert await register(4) == "AA"
        assert forwarded() == ["1", "8", "1"]
        for number in (1, 2, 3, 4):
            assert await house.patient(f"P{number}") is not None
        assert len(house.house.runtime.plugged["hub"].service._server.connections) == 1
        with acting_as(ENGINEER):
            [status] = await house.house.client(Hub).systems()
        assert (status.received, status.refused) == (4, 0)
        await client.close()
        with pytest.raises(CannotListen, match="another hub"):
            async with hub(tmp_path):
                pass


async def test_a_destination_cannot_take_the_place_of_a_system_of_the_hospital(
    tmp_path: Path,
) -> None:
    lis = SimulatedLis(application="LIS", facility="C1")
    told = System(
        code="lis",
        name="检验",
        campus=CampusCode("C1"),
        application="LIS",
        facility="C1",
        takes=("lab.order",),
        host="127.0.0.1",
        port=await lis.start(),
    )
    site(tmp_path, '[lis]\nkind = "files"\nfolder = "elsewhere"\n')
    async with hospital(tmp_path, told) as house:
        node = house.house.runtime.plugged["hub"].service._node
        assert "already sends" in node.live().problems["lis"]
        assert node.endpoints == {}
        await house.configure(told.replace(is_active=False, takes=()))
        await node.look()
        assert set(node.endpoints) == {"lis"}
        assert node.live().problems == {}
    await lis.stop()


def test_a_token_file_is_for_the_owner_only(tmp_path: Path) -> None:
    assert new_token("his", data=tmp_path) == 0
    path = tmp_path / "systems.toml"
    assert path.stat().st_mode & 0o077 == 0
    assert new_token("his", data=tmp_path) == 2  # never silently replaced

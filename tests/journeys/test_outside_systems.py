"""Outside systems over real sockets: ADT in, requests out, results back.

院外系统：登记消息进来，检验申请出去，结果回来；任何一步重复、断开、拒绝都不丢不重。
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import pytest

from plugward.boards.encounters.contract import Encounters, EncounterState
from plugward.boards.encounters.interop import visit
from plugward.boards.lab.contract import Collect, Lab
from plugward.boards.orders.contract import NewLine, Orders, SignGroup, WithdrawReason
from plugward.boards.patients.contract import ID_CARD, Patient, Patients, local_system
from plugward.commons.hub.contract import (
    Hub,
    LetterNotFound,
    LetterState,
    ReasonNeeded,
    System,
    SystemInvalid,
)
from plugward.commons.masterdata.contract import MasterData
from plugward.commons.masterdata.seed import sow
from plugward.kernel.dispatch import Transport
from plugward.kernel.envelope import ALL_CAMPUSES, Actor, ActorKind, acting_as
from plugward.kit.ids import new_id
from plugward.sim.foundation import planner
from plugward.sim.outside.lis import LisOrder, SimulatedLis
from plugward.sim.outside.registration import RegistrationSystem
from plugward.sim.people import id_card
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    Sex,
    SpecimenId,
)

from .house import HBA1C, LEFT_OUT, URINE_ACR, House

C1 = CampusCode("C1")
ENGINEER = Actor(
    id="staff:engineer",
    kind=ActorKind.PERSON,
    permissions=frozenset({"hub.configure", "hub.watch", "hub.read-message", "hub.replay"}),
    campuses=ALL_CAMPUSES,
)
BOARDS = ("hub", "masterdata", "patients", "encounters", "orders", "lab")
EVERYTHING = ("ADT^A04", "ADT^A08", "ADT^A28", "ADT^A31", "ADT^A40")
REG = System(
    code="REG-C1",
    name="旧挂号系统（模拟）",
    campus=C1,
    application="REG",
    facility="C1",
    may_send=EVERYTHING,
)


class Reg(SimulatedLis):
    """A registration system that sends ADT; it shares the stranger's MLLP and nothing else."""

    count = 0

    def message(self, kind: str, *segments: str, charset: str = "UNICODE UTF-8") -> str:
        self.count += 1
        return self.numbered(f"REG{self.count:06d}", kind, *segments, charset=charset)

    def numbered(
        self, control_id: str, kind: str, *segments: str, charset: str = "UNICODE UTF-8"
    ) -> str:
        head = f"MSH|^~\\&|REG|C1|HUB|C1|20260302080010||{kind}|{control_id}|P|2.5.1"
        return "\r".join([f"{head}|||AL|NE|CHN|{charset}", *segments, ""])


def pid(number: str, name: str = "张示例", card: str = "", born: str = "19590302") -> str:
    cards = f"~{card}^^^CN^NI" if card else ""
    return (
        f"PID|1||{number}^^^C1^PI{cards}||{name}||{born}|M|||示范路1号^^深圳市^广东省||13800000000"
    )


def pv1(number: str, department: str = "C1-CARD", kind: str = "O") -> str:
    return f"PV1|1|{kind}|{department}^诊室3^^C1||||D1001^李医生||||||||||||{number}"


class Hospital:
    """The house with its hub and one registration system that may send ADT."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.reg = Reg(application="REG", facility="C1")

    @property
    def port(self) -> int:
        return int(self.house.runtime.plugged["hub"].service.port)

    async def send(self, text: str) -> str:
        return await self.reg.send("127.0.0.1", self.port, text)

    async def configure(self, system: System) -> None:
        with acting_as(ENGINEER):
            await self.house.client(Hub).configure(system)

    async def patient(self, number: str) -> Patient | None:
        with self.house.acting("doctor"):
            return await self.house.client(Patients).identify(local_system("C1"), number)


@asynccontextmanager
async def hospital(
    folder: Path, *systems: System, catalogue: bool = False
) -> AsyncIterator[Hospital]:
    hub = {"mllp_port": 0, "data_folder": str(folder)}
    house = House(folder, Transport.STRICT, left_out=LEFT_OUT - {"hub"}, settings={"hub": hub})
    house.boards = {name: house.boards[name] for name in BOARDS}
    await house.runtime.start(house.boards.values())
    try:
        if catalogue:
            with acting_as(planner(house.cast)):
                await sow(house.client(MasterData))
            await house.quiet()
        made = Hospital(house)
        for system in (REG, *systems):
            await made.configure(system)
        yield made
    finally:
        await house.close()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a stranger's books have no event of ours
            await asyncio.sleep(0.01)


# ── ADT in ──────────────────────────────────────────────────────────────────────────────────


async def test_a_registration_by_message_is_a_patient_with_an_open_visit(tmp_path: Path) -> None:
    """A28 建档、A04 挂号：患者、过敏、就诊都在；重复发送不重复。"""
    async with hospital(tmp_path) as house:
        card = id_card(date(1959, 3, 2), Sex.MALE, 7)
        a28 = house.reg.message(
            "ADT^A28^ADT_A05",
            "EVN|A28|20260302080010",
            pid("P0000001", card=card),
            "PV1|1|N",
            "AL1|1|DA|ALG-PEN^青霉素^L|SV|皮疹",
        )
        assert await house.send(a28) == "AA"
        assert await house.send(a28) == "AA"
        patient = await house.patient("P0000001")
        assert patient is not None
        assert patient.identifier(ID_CARD) == card
        assert (patient.name, patient.sex, patient.phone) == ("张示例", Sex.MALE, "13800000000")
        assert [(a.substance, a.severity) for a in patient.allergies] == [("青霉素", "severe")]
        a04 = house.reg.message("ADT^A04^ADT_A01", pid("P0000001"), pv1("V1"))
        assert await house.send(a04) == "AA"
        again = house.reg.message("ADT^A04^ADT_A01", pid("P0000001"), pv1("V1"))
        assert await house.send(again) == "AA"
        with house.house.acting("doctor"):
            encounter = await house.house.client(Encounters).get(visit("C1", "V1"))
        assert (encounter.patient, encounter.state) == (patient.id, EncounterState.ARRIVED)
        assert encounter.department == "C1-CARD"
        await house.house.audit()


async def test_a_sender_that_loses_its_line_sends_again_and_nobody_is_doubled(
    tmp_path: Path,
) -> None:
    """连接断开后原系统重连续发：不丢人，也不重复建档。"""
    async with hospital(tmp_path) as house:
        old = RegistrationSystem("127.0.0.1", house.port)
        born = date(1959, 3, 2)

        async def announce(number: int) -> str:
            return await old.announce(
                number=f"P{number}",
                name="张示例",
                sex="male",
                born=born,
                id_card=id_card(born, Sex.MALE, number),
                phone="13800000000",
            )

        assert await announce(1) == "AA"
        for connection in list(house.house.runtime.plugged["hub"].service._server.connections):
            connection.abort()
        await asyncio.sleep(0.02)
        assert await announce(2) == "AA"
        assert old.answers == {"AA": 2}
        await old.close()
        first, second = await house.patient("P1"), await house.patient("P2")
        assert first is not None
        assert second is not None
        assert first.person != second.person


async def test_an_update_changes_the_patient_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    """A31/A08：未知患者回 AE，指明 PID-3；补建档后原样重发即成功。"""
    async with hospital(tmp_path) as house:
        a31 = house.reg.message("ADT^A31^ADT_A05", pid("P7", name="张更名"))
        assert await house.send(a31) == "AE PID^1^3^1^1 204"
        await house.send(house.reg.message("ADT^A28^ADT_A05", pid("P7")))
        assert await house.send(a31) == "AA"
        patient = await house.patient("P7")
        assert patient is not None
        assert patient.name == "张更名"
        a08 = house.reg.message("ADT^A08^ADT_A01", pid("P7"), pv1("V404"))
        assert await house.send(a08) == "AE PV1^1^19 204"


@pytest.mark.parametrize("charset", ["UNICODE UTF-8", "GB 18030-2000"])
@pytest.mark.parametrize("name", ["玕", "玘", "珅", "珇"])
async def test_names_whose_bytes_look_like_delimiters_arrive_whole(
    tmp_path: Path, charset: str, name: str
) -> None:
    """GB18030 第二字节为 5C、5E、7C、7E 的姓名。"""
    async with hospital(tmp_path) as house:
        house.reg.charset = charset
        text = house.reg.message("ADT^A28^ADT_A05", pid("P1", name=f"陈{name}"), charset=charset)
        assert await house.send(text) == "AA"
        patient = await house.patient("P1")
        assert patient is not None
        assert patient.name == f"陈{name}"


async def test_a_merge_by_message_makes_one_person_and_can_be_said_twice(tmp_path: Path) -> None:
    """A40：两份档案成为一个人；记录不改写。"""
    async with hospital(tmp_path) as house:
        for number, name in (("P1", "张示例"), ("P99", "张示利")):
            await house.send(house.reg.message("ADT^A28^ADT_A05", pid(number, name=name)))
        merge = house.reg.message("ADT^A40^ADT_A39", pid("P1"), "MRG|P99^^^C1^PI")
        assert await house.send(merge) == "AA"
        again = house.reg.message("ADT^A40^ADT_A39", pid("P1"), "MRG|P99^^^C1^PI")
        assert await house.send(again) == "AA"
        survivor, retired = await house.patient("P1"), await house.patient("P99")
        assert survivor is not None
        assert retired is not None
        assert retired.person == survivor.person
        unknown = house.reg.message("ADT^A40^ADT_A39", pid("P1"), "MRG|P404^^^C1^PI")
        assert await house.send(unknown) == "AE MRG^1^1^1^1 204"


@pytest.mark.parametrize(
    ("segments", "answer"),
    [
        (("PID|1||||张示例||19590302|M",), "AR PID^1^3^1^1 101"),
        (("PID|1||P1^^^C1^PI||||19590302|M",), "AR PID^1^5^^1 101"),
        (("PID|1||P1^^^C1^PI||张示例||1959xx02|M",), "AR PID^1^7 102"),
        (("PID|1||P1^^^C1^PI||张示例||19590302|男",), "AR PID^1^8 103"),
        ((pid("P1"), "AL1|1|DA|^青霉素|??"), "AR AL1^1^4 103"),
    ],
)
async def test_every_rejection_names_segment_and_field(
    tmp_path: Path, segments: tuple[str, ...], answer: str
) -> None:
    async with hospital(tmp_path) as house:
        message = house.reg.message("ADT^A28^ADT_A05", *segments)
        assert await house.send(message) == answer
        assert await house.send(message) == answer  # AR is final: the same answer again


async def test_sec_hub_01_04_a_sender_sends_only_what_it_was_granted_and_refusals_are_audited(
    tmp_path: Path,
) -> None:
    """SEC-HUB-01/04: 未登记系统、未授权消息、他处地址：AR，并留痕。"""
    lis = System(
        code="LIS-C1", name="检验", campus=C1, application="LIS", facility="C1",
        may_send=("ORU^R01",),
    )  # fmt: skip
    elsewhere = System(
        code="FAR", name="异地", campus=C1, application="FAR", facility="C1",
        networks=("10.9.0.0/16",), may_send=EVERYTHING,
    )  # fmt: skip
    async with hospital(tmp_path, lis, elsewhere) as house:
        merge = house.reg.message("ADT^A40^ADT_A39", pid("P1"), "MRG|P2^^^C1^PI")
        assert await house.send(merge.replace("|REG|", "|LIS|")) == "AR MSH^1^9 200"
        assert await house.send(merge.replace("|REG|", "|WHO|")) == "AR MSH^1^3 204"
        assert await house.send(merge.replace("|REG|", "|FAR|")) == "AR MSH^1^3 204"
        entries = house.house.runtime.audit.store.db.execute("SELECT * FROM audit_entry").fetchall()
        refused = [str(row) for row in entries if "hub.receive" in str(row)]
        assert len(refused) == 3
        assert all("127.0.0.1" in row and "ADT^A40" in row for row in refused)
        assert "P1" not in "".join(refused)
        with acting_as(ENGINEER):
            statuses = {s.system.code: s for s in await house.house.client(Hub).systems()}
        assert (statuses["LIS-C1"].refused, statuses["FAR"].refused) == (1, 1)
        await house.configure(REG.replace(is_active=False))
        assert await house.send(merge) == "AR MSH^1^3 204"


# ── requests out, results in ────────────────────────────────────────────────────────────────


def lis_at(port: int, charset: str = "GB 18030-2000") -> System:
    return System(
        code="LIS-C1", name="检验系统（模拟）", campus=C1, application="LIS", facility="C1",
        may_send=("ORU^R01",), takes=("lab.order",), host="127.0.0.1", port=port,
        charset=charset,
    )  # fmt: skip


class Visit:
    """A patient with an open encounter, whose doctor orders tests."""

    def __init__(self, house: Hospital) -> None:
        self.house = house
        self.encounter = visit("C1", "V1")

    async def order(self, *items: str) -> tuple[OrderLineId, ...]:
        patient = await self.house.patient("P1")
        assert patient is not None
        lines = tuple(
            NewLine(id=OrderLineId(new_id()), kind=OrderKind.LAB, item=item) for item in items
        )
        with self.house.house.acting("doctor"):
            await self.house.house.client(Orders).sign(
                SignGroup(
                    id=OrderGroupId(new_id()),
                    encounter=self.encounter,
                    patient=patient.id,
                    campus=C1,
                    department=DepartmentCode("C1-CARD"),
                    lines=lines,
                    indication="2型糖尿病",
                )
            )
        return tuple(line.id for line in lines)


async def a_visit(house: Hospital) -> Visit:
    await house.send(house.reg.message("ADT^A04^ADT_A01", pid("P1"), pv1("V1")))
    await house.house.quiet()
    return Visit(house)


def measured(order: LisOrder) -> tuple[str, str]:
    return {URINE_ACR: ("18.5", "mg/g"), HBA1C: ("7.1", "%")}[order.item]


async def test_signed_tests_go_to_the_laboratory_system_and_their_results_come_back(
    tmp_path: Path,
) -> None:
    """OML 出、ORU 回：院外检验系统按申请号报告，报告在本院签发。"""
    lis = SimulatedLis(charset="GB 18030-2000")
    port = await lis.start()
    async with hospital(tmp_path, lis_at(port), catalogue=True) as house:
        visit_ = await a_visit(house)
        acr, hba1c = await visit_.order(URINE_ACR, HBA1C)
        await eventually(lambda: len(lis.orders) == 2)
        [oml] = lis.received
        assert oml.startswith("MSH|^~\\&|PLUGWARD|C1|LIS|C1|")
        assert "OML^O21^OML_O21" in oml
        assert lis.orders[str(hba1c)].name == "张示例"
        # Until the tube is drawn there is nothing a result could belong to.
        refused = await lis.report("127.0.0.1", house.port, measured)
        assert refused == ["AE OBR^1^2 204", "AE OBR^1^2 204"]
        lab = house.house.client(Lab)
        with house.house.acting("doctor"):
            await lab.credit(visit_.encounter, "绿色通道")
        with house.house.acting("lab-technician"):
            for line in (acr, hba1c):
                await lab.collect(Collect(id=SpecimenId(new_id()), requests=(line,)))
        assert await lis.report("127.0.0.1", house.port, measured) == ["AA", "AA"]
        # The laboratory trusts this system's final results (setting lab.trust_outside_final).
        with house.house.acting("doctor"):
            patient = await house.patient("P1")
            assert patient is not None
            lines = await lab.reports_of((patient.id,))
            reports = [await lab.report(line.id) for line in lines]
        values = {result.item: result.value for r in reports for result in r.results}
        assert values == {URINE_ACR: "18.5", HBA1C: "7.1"}
        with house.house.acting("doctor"):
            states = {r.item: r.state for r in await lab.requests_of(visit_.encounter)}
        assert set(states) == {URINE_ACR, HBA1C}
        odd = lis.result(lis.orders[str(acr)], "很多", "mg/g")
        assert (await lis.send("127.0.0.1", house.port, odd)).startswith("AR OBX^1^5 102")
        await house.house.audit()
    await lis.stop()


async def test_a_laboratory_system_that_is_down_gets_everything_in_order_when_it_is_back(
    tmp_path: Path,
) -> None:
    """检验系统停机十分钟：积压可见，恢复后按序补齐，一条不少、一条不多。"""
    lis = SimulatedLis()
    port = await lis.start()
    await lis.stop()
    async with hospital(tmp_path, lis_at(port, "UNICODE UTF-8"), catalogue=True) as house:
        visit_ = await a_visit(house)
        first = await visit_.order(URINE_ACR)
        second = await visit_.order(HBA1C)
        await house.house.quiet()
        with acting_as(ENGINEER):
            [status] = [
                s for s in await house.house.client(Hub).systems() if s.system.code == "LIS-C1"
            ]
        assert (status.waiting, status.dead, status.is_connected) == (2, 0, False)
        await lis.start(port)
        for _ in range(20):
            await house.house.later(minutes=1)
            if len(lis.orders) == 2:
                break
            await asyncio.sleep(0.05)
        assert list(lis.orders) == [str(first[0]), str(second[0])]
        assert len(lis.received) == 2
    await lis.stop()


async def test_a_rejected_request_is_a_dead_letter_that_a_person_can_send_again(
    tmp_path: Path,
) -> None:
    """AR 不再重试：进入死信，工程师写明原因后重投。"""
    lis = SimulatedLis()
    port = await lis.start()
    async with hospital(tmp_path, lis_at(port, "UNICODE UTF-8"), catalogue=True) as house:
        lis.answers = ["AR"]
        visit_ = await a_visit(house)
        await visit_.order(URINE_ACR)
        await visit_.order(HBA1C)
        await eventually(lambda: len(lis.orders) == 1)  # the lane went on behind the rejected one
        with acting_as(ENGINEER):
            [letter] = await house.house.client(Hub).letters(LetterState.DEAD)
        assert (letter.kind, letter.reason) == ("OML^O21", "AR")
        with acting_as(ENGINEER), pytest.raises(ReasonNeeded):
            await house.house.client(Hub).replay(letter.seq, letter.destination, letter.key, " ")
        with acting_as(ENGINEER):
            opened = await house.house.client(Hub).open_message(letter.seq, "核对拒收原因")
        assert "张示例" in opened.text
        with acting_as(ENGINEER):
            await house.house.client(Hub).replay(
                letter.seq, letter.destination, letter.key, "对方已修复"
            )
        await eventually(lambda: len(lis.orders) == 2)
        with acting_as(ENGINEER), pytest.raises(LetterNotFound):
            await house.house.client(Hub).replay(letter.seq, "LIS-C1", letter.key, "再来一次")
    await lis.stop()


async def test_a_withdrawn_test_is_cancelled_at_the_laboratory_system(tmp_path: Path) -> None:
    lis = SimulatedLis()
    port = await lis.start()
    async with hospital(tmp_path, lis_at(port, "UNICODE UTF-8"), catalogue=True) as house:
        visit_ = await a_visit(house)
        [line] = await visit_.order(URINE_ACR)
        await eventually(lambda: len(lis.orders) == 1)
        with house.house.acting("doctor"):
            await house.house.client(Orders).withdraw(line, WithdrawReason.ENTERED_BY_MISTAKE)
        await eventually(lambda: lis.orders[str(line)].state == "cancelled")
    await lis.stop()


async def test_a_board_that_is_out_costs_no_message(tmp_path: Path) -> None:
    """患者主索引拔出期间：A28 回 AE 请稍后重发；A04 先落盘，插回后照样入档。"""
    async with hospital(tmp_path) as house:
        await house.send(house.reg.message("ADT^A28^ADT_A05", pid("P1")))
        board = house.house.boards["patients"]
        await house.house.runtime.unplug("patients")
        a28 = house.reg.message("ADT^A28^ADT_A05", pid("P5"))
        assert await house.send(a28) == "AE MSH^1^9^^2 201"
        a04 = house.reg.message("ADT^A04^ADT_A01", pid("P1"), pv1("V1"))
        waiting = asyncio.create_task(house.send(a04))
        await asyncio.sleep(0.1)
        await house.house.runtime.plug(board)
        assert await waiting == "AA"
        assert await house.send(a28) == "AA"
        assert await house.patient("P5") is not None
        with acting_as(ENGINEER):
            [letter] = await house.house.client(Hub).letters(LetterState.PENDING)
        assert (letter.kind, letter.attempts) == ("ADT^A04", 1)
        await house.house.later(seconds=2)
        for _ in range(200):
            with acting_as(ENGINEER):
                pending = await house.house.client(Hub).letters(LetterState.PENDING)
            if not pending:
                break
            await house.house.later(seconds=1)
            await asyncio.sleep(0.02)
        assert pending == ()
        with house.house.acting("doctor"):
            found = await house.house.client(Encounters).get(visit("C1", "V1"))
        assert found.state is EncounterState.ARRIVED


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"code": "OTHER"}, "MSH-3/4 与 REG-C1 相同"),
        ({"networks": ("10.1.2.3/8",)}, "网段 10.1.2.3/8 无效"),
        ({"takes": ("lab.order",)}, "接收服务的系统须有主机和端口"),
        ({"charset": "EBCDIC"}, "字符集 EBCDIC 不受支持"),
        ({"application": ""}, "缺少编码或 MSH-3/4"),
    ],
)
async def test_a_system_that_cannot_work_is_not_configured(
    tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    async with hospital(tmp_path) as house:
        with pytest.raises(SystemInvalid) as refused:
            await house.configure(REG.replace(**changes))
        assert refused.value.problem == problem

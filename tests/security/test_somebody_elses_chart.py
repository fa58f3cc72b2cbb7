"""E09 (SEC-AUTHZ-07): somebody else's chart is not there, until the glass is broken for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from plugward.boards.lab.board import board as lab_board
from plugward.boards.lab.contract import (
    Collect,
    EnterResults,
    Lab,
    LabRequest,
    NewResult,
    ReportNotFound,
    RequestState,
    WithdrawReason,
)
from plugward.boards.lab.rules import test_of as version_of
from plugward.commons.identity import demo
from plugward.commons.identity.board import board as identity_board
from plugward.commons.identity.contract import (
    BreakGlass,
    DemoSignIn,
    Door,
    Identity,
    OpeningId,
    OpeningReason,
    OpeningState,
    SignedIn,
    Unlock,
    hash_of_token,
)
from plugward.commons.masterdata.contract import Domain
from plugward.commons.masterdata.fakes import seeded
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.clock import ManualClock
from plugward.kernel.envelope import ANONYMOUS, Actor, ActorKind, acting_as
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kit.ids import new_id
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    EncounterId,
    OrderGroupId,
    OrderLineId,
    PatientId,
    ReportId,
    SpecimenId,
)

POTASSIUM = "L0033"
NURSE_OF_C1, MANAGER = "N10052", "M10001"
DOOR = Door(host="localhost")


class Everything(frozenset[str]):
    def __contains__(self, item: object) -> bool:
        return isinstance(item, str)


TECHNICIAN_OF_C2 = Actor(
    id="staff:technician", kind=ActorKind.PERSON, permissions=Everything(), campuses=("C2",)
)


class House:
    """Identity and the laboratory, with one report of each of two patients at campus 2."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock("2026-03-02 08:00")
        self.runtime = Runtime(
            Databases(folder),
            self.clock,
            AuditLog(folder / "audit.sqlite", self.clock),
            settings={"identity": {"demo": True}},
        )
        self.lab = self.runtime.client(Lab)
        self.identity = self.runtime.client(Identity)
        self.vip, self.other = PatientId(new_id()), PatientId(new_id())

    async def open(self) -> None:
        await self.runtime.start([identity_board, lab_board])
        logins = await demo.prepare(self.runtime, self.folder)
        self.passwords = {login.staff_no: login.password for login in logins}
        await self.runtime.plugged["identity"].service.demo.all_hashed()
        service = self.runtime.plugged["lab"].service
        [fact] = seeded(Domain.LAB_ITEM, POTASSIUM)
        version = version_of(fact.entry)
        assert version is not None
        await service.learn_test(version)
        self.report_of_vip = await self._report(self.vip)
        self.report_of_other = await self._report(self.other)

    async def _report(self, patient: PatientId) -> ReportId:
        line = OrderLineId(new_id())
        request = LabRequest(
            id=line,
            group=OrderGroupId(new_id()),
            encounter=EncounterId(new_id()),
            patient=patient,
            campus=CampusCode("C2"),
            department=DepartmentCode("C2-CARD"),
            author="staff:doctor",
            item=POTASSIUM,
            name_zh="钾",
            name_en="Potassium",
            is_urgent=True,
            indication="",
            signed_at=self.clock.now(),
            state=RequestState.REQUESTED,
        )
        await self.runtime.plugged["lab"].service.add_requests((request,))
        id, report = SpecimenId(new_id()), ReportId(new_id())
        with acting_as(TECHNICIAN_OF_C2):
            specimen = await self.lab.collect(Collect(id=id, requests=(line,)))
        with acting_as(TECHNICIAN_OF_C2):
            await self.lab.receive(specimen.barcode)
        with acting_as(TECHNICIAN_OF_C2):
            result = NewResult(item=POTASSIUM, value="4.2")
            await self.lab.enter(EnterResults(specimen=id, results=(result,)))
        with acting_as(TECHNICIAN_OF_C2):
            await self.lab.verify(id, report)
        return report

    async def sign_in(self, staff_no: str) -> tuple[SignedIn, str]:
        token = new_id().hex
        with acting_as(msgspec.structs.replace(ANONYMOUS, address="127.0.0.1")):
            who = await self.identity.demo_sign_in(
                DemoSignIn(staff_no=staff_no, token=token, door=DOOR)
            )
        return who, token

    async def actor(self, token: str) -> Actor:
        with acting_as(ANONYMOUS):
            return (await self.identity.session(hash_of_token(token))).actor()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    await house.open()
    yield house
    await house.runtime.stop()


async def test_e09_someone_elses_chart(house: House) -> None:
    """一院区护士查二院区 VIP：不存在；打破玻璃、写明原因后仅此一人可读；全程留痕待审。"""
    _, token = await house.sign_in(NURSE_OF_C1)
    nurse = await house.actor(token)
    with acting_as(nurse), pytest.raises(ReportNotFound):
        await house.lab.report(house.report_of_vip)
    with acting_as(nurse):
        assert await house.lab.reports_of((house.vip,)) == ()

    with acting_as(nurse):
        opening = await house.identity.break_glass(
            BreakGlass(
                id=OpeningId(new_id()),
                patient=house.vip,
                reason=OpeningReason.EMERGENCY,
                words="转来抢救，查既往血钾",
            )
        )
    nurse = await house.actor(token)
    with acting_as(nurse):
        assert (await house.lab.report(house.report_of_vip)).patient == house.vip
    with acting_as(nurse):
        assert len(await house.lab.reports_of((house.vip,))) == 1

    # One patient, reading only.
    with acting_as(nurse), pytest.raises(ReportNotFound):
        await house.lab.report(house.report_of_other)
    with acting_as(nurse):
        assert await house.lab.reports_of((house.vip, house.other)) == (
            await house.lab.reports_of((house.vip,))
        )
    all_rights = msgspec.structs.replace(nurse, permissions=Everything())
    with acting_as(all_rights), pytest.raises(ReportNotFound):
        await house.lab.withdraw(house.report_of_vip, WithdrawReason.WRONG_RESULT)

    # Who, whom, when: in the audit log; and somebody else has to review it.
    entries = [e for e in house.runtime.audit.entries(limit=100) if e.body["actor"] == nurse.id]
    by_operation = {e.body["operation"]: e.body for e in entries}
    assert str(house.vip) in by_operation["lab.report"]["patients"]
    await house.runtime.quiet()
    [command] = house.runtime.audit.entries(operation="identity.break_glass")
    assert command.body["actor"] == nurse.id
    manager, _ = await house.sign_in(MANAGER)
    with acting_as(manager.actor(), campus="C1"):
        [task] = await house.identity.openings()
    assert (task.id, task.state) == (opening.id, OpeningState.OPEN)


async def test_e09_after_four_hours_the_glass_is_whole_again(house: House) -> None:
    _, token = await house.sign_in(NURSE_OF_C1)
    with acting_as(await house.actor(token)):
        await house.identity.break_glass(
            BreakGlass(
                id=OpeningId(new_id()),
                patient=house.vip,
                reason=OpeningReason.COVER,
                words="临时顶班，查看结果",
            )
        )
    await house.clock.advance("2026-03-02 12:00")
    with acting_as(ANONYMOUS):
        await house.identity.unlock(Unlock(token=token, password=house.passwords[NURSE_OF_C1]))
    with acting_as(await house.actor(token)), pytest.raises(ReportNotFound):
        await house.lab.report(house.report_of_vip)

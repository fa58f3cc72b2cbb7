"""One campus with our laboratory, one with another vendor's: the doctor sees one patient.

两个院区、两家检验系统：医生看到同一位患者、同一条时间轴。
"""

import asyncio
from pathlib import Path

import pytest

from plugward.boards.lab.contract import Collect, EnterResults, NewResult, RequestState
from plugward.boards.patients.contract import Patients, TimelineKind
from plugward.kernel.binding import partial_answers
from plugward.kernel.envelope import acting_as
from plugward.kernel.refusals import Unavailable
from plugward.kit.ids import new_id
from plugward.vocabulary import EncounterId, OrderLineId, ReportId, SpecimenId

from ..journeys.house import HBA1C, URINE_ACR
from .hospital import C1, C2, DOCTOR, Hospital, hospital


async def report_at_c1(house: Hospital, line: OrderLineId) -> None:
    """Drawn, measured and verified in our own laboratory."""
    specimen = SpecimenId(new_id())
    with acting_as(DOCTOR, campus="C1"):
        tube = await house.lab.collect(Collect(id=specimen, requests=(line,)))
    for step in (
        lambda: house.lab.receive(tube.barcode),
        lambda: house.lab.enter(
            EnterResults(specimen=specimen, results=(NewResult(item=URINE_ACR, value="18.5"),))
        ),
        lambda: house.lab.verify(specimen, ReportId(new_id())),
    ):
        with acting_as(DOCTOR, campus="C1"):
            await step()
    await house.house.quiet()


async def test_results_of_both_laboratories_are_one_list_and_one_timeline(tmp_path: Path) -> None:
    """C1 本院检验、C2 他厂检验：同一患者，一份清单，一条时间轴；彼此的申请互不混淆。"""
    async with hospital(tmp_path) as house:
        here, there = await house.register("C1"), await house.register("C2")
        assert here.person == there.person
        [ours] = await house.order(here, "C1", URINE_ACR)
        [theirs] = await house.order(there, "C2", HBA1C)
        [placer] = await house.at_the_vendor(1)
        booked = house.lis.orders[placer]
        assert (booked.code, booked.name) == ("GHB1", "陈玕")  # its code; a name hard in GB18030
        assert booked.own_patient != booked.their_patient == there.local_number("C2")
        with acting_as(DOCTOR, campus="C1"):
            counts = (await house.lab.counts(C1), await house.lab.counts(C2))
        assert [c.requested for c in counts] == [1, 1]

        await report_at_c1(house, ours)
        await house.house.later(minutes=5)
        assert await house.send(house.lis.report(placer, "", status="I")) == "AA"
        assert await house.send(house.lis.report(placer, "7.1", flag="H")) == "AA"

        found = await house.reports(here)
        assert [line.campus for line in found] == [C2, C1]
        with acting_as(DOCTOR, campus="C1"):
            [told] = (await house.lab.report(found[0].id)).results
        assert (told.item, told.value, told.unit, told.flag) == ("GHB1", "7.1", "%", "H")
        with acting_as(DOCTOR, campus="C1"):
            person = await house.house.client(Patients).person_of(here.id)
            entries = await house.house.client(Patients).timeline(person)
        reports = [e for e in entries if e.kind is TimelineKind.REPORT]
        assert [e.campus for e in reports] == [C2, C1]
        with acting_as(DOCTOR, campus="C1"):
            encounters = [EncounterId(e.encounter) for e in reports if e.encounter]
            [[asked], [other]] = [await house.lab.requests_of(e) for e in encounters]
        assert (asked.id, asked.state) == (theirs, RequestState.REPORTED)
        assert (other.id, other.state) == (ours, RequestState.REPORTED)
        await house.house.audit()


async def test_nobody_gets_another_ones_result_whatever_the_system_mixes_up(tmp_path: Path) -> None:
    """对方串号：本院号或对方号不符，一律拒收并指明位置；更正后照常入档。"""
    async with hospital(tmp_path) as house:
        chen = await house.register("C2", 7, "陈玕")
        li = await house.register("C2", 8, "李玘")
        await house.order(chen, "C2", HBA1C)
        await house.order(li, "C2", HBA1C)
        first, second = await house.at_the_vendor(2)
        number = house.lis.orders[second].their_patient
        mixed = house.lis.report(first, "9.9", their_patient=number)
        assert await house.send(mixed) == "AE PID^1^4"
        assert await house.send(house.lis.report(second, "5.0")) == "AA"
        swapped = house.lis.report(first, "9.9", own_patient=house.lis.orders[second].own_patient)
        assert await house.send(swapped) == "AE PID^1^4"
        assert await house.reports(chen) == ()
        assert await house.send(house.lis.report(first, "7.1")) == "AA"
        assert len(await house.reports(chen)) == len(await house.reports(li)) == 1
        unknown = house.lis.report(first, "7.1").replace(f"|{first}|", "|C2Q99999999|")
        assert await house.send(unknown) == "AE OBR^1^2"
        await house.house.audit()


async def test_a_slow_and_a_dead_system_hold_nobody_up_and_lose_nothing(tmp_path: Path) -> None:
    """对方慢、对方停机：医生照常签名；恢复后按序补齐，一条不少、一条不多。"""
    async with hospital(tmp_path) as house:
        patient = await house.register("C2")
        house.lis.gate.clear()  # takes messages, answers none
        await house.order(patient, "C2", HBA1C)
        await house.at_the_vendor(1)
        await house.lis.stop()  # dies before it has answered
        await house.order(patient, "C2", URINE_ACR)
        await house.order(patient, "C2", HBA1C)
        assert (await house.status()).waiting == 3
        await house.lis.start()
        async with asyncio.timeout(20):
            while (await house.status()).waiting:
                await house.house.later(minutes=1)
                await asyncio.sleep(0.02)  # the line itself is real
        assert [order.code for order in house.lis.orders.values()] == ["GHB1", "UACR", "GHB1"]
        assert len(house.lis.messages) == 3
        assert ((await house.status()).waiting, (await house.status()).dead) == (0, 0)
        await house.house.audit()


async def test_an_unplugged_adapter_is_named_and_its_campus_catches_up(tmp_path: Path) -> None:
    """拔出适配插板：其他院区照常，清单指明缺哪个院区；插回后补齐错过的申请。"""
    async with hospital(tmp_path) as house:
        patient = await house.register("C1")
        there = await house.register("C2")
        board = house.house.boards["lab_hl7"]
        await house.house.runtime.unplug("lab_hl7")
        [ours] = await house.order(patient, "C1", URINE_ACR)
        await house.order(there, "C2", HBA1C)
        await report_at_c1(house, ours)
        with pytest.raises(Unavailable):
            await house.reports(patient)
        with partial_answers() as silent:
            [only] = await house.reports(patient)
        assert (only.campus, silent) == (C1, {"C2"})
        assert house.lis.orders == {}
        await house.house.runtime.plug(board)
        [placer] = await house.at_the_vendor(1)
        assert await house.send(house.lis.report(placer, "7.1")) == "AA"
        assert len(await house.reports(patient)) == 2
        await house.house.audit()

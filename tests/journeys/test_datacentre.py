"""The data centre beside a real hospital: its sums are the boards' own, to the fen and the pack."""

import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plugward.boards.billing.contract import AskRefund, Billing, RefundId, RefundPart
from plugward.boards.billing.contract import Channel as MoneyChannel
from plugward.boards.encounters.contract import Disposition, Encounters, EncounterState
from plugward.boards.pharmacy.contract import LineQuantity, Pharmacy, ReturnId, TakeBack, TaskSheet
from plugward.boards.registration.contract import Registrations
from plugward.commons.datacentre.contract import DataCentre, Selection, Sheet
from plugward.kernel.testing import TRANSPORTS
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_date
from plugward.vocabulary import EncounterId

from .house import AMLODIPINE, C1, ECHO, HBA1C, LEFT_OUT, METFORMIN, House, drug, exam, lab
from .test_outpatient_visit import dispense

COUNTED = {
    "encounters.visits-by-department": ("arrived", "finished", "in_progress", "waiting"),
    "registration.booked-by-department": ("registered", "booked", "attended"),
    "registration.channels": ("registered",),
    "pharmacy.dispensing-wait": ("tasks",),
    "billing.payments-by-channel": ("payments",),
    "encounters.flow-by-hour": ("came", "seen", "left"),
}
"""Figures that count facts: the facts behind them are exactly as many."""


class Watched(House):
    """The hospital with its data centre."""

    async def report(self, name: str) -> Sheet:
        """A report, once every fact is in."""
        await self.quiet()
        collector = self.runtime.plugged["datacentre"].service.collector
        for _ in range(2_000):
            await collector.match()
            if all(not s.waiting and s.behind <= 0 for s in collector.sources.values()):
                break
            await collector.pause(0.005)
        else:
            raise AssertionError("the data centre does not catch up")
        with self.acting("manager"):
            return await self.client(DataCentre).report(name, Selection())

    async def total(self, report: str, measure: str) -> float | None:
        sheet = await self.report(report)
        return sheet.total.figures[[m.name for m in sheet.measures].index(measure)]


@pytest.fixture(params=TRANSPORTS)
async def house(
    request: pytest.FixtureRequest, tmp_path: Path, prepared: Path
) -> AsyncIterator[Watched]:
    shutil.copytree(prepared, tmp_path / "boards")
    found = Watched(
        tmp_path / "boards",
        request.param,
        left_out=LEFT_OUT - {"datacentre"},
        settings={"datacentre": {"data_folder": str(tmp_path), "batch_ms": 20}},
    )
    await found.start()
    yield found
    await found.close()


async def three_visits(house: Watched) -> tuple[list[EncounterId], list[TaskSheet]]:
    """Three patients see the doctor, pay in three ways, fetch their drugs; one is still there."""
    visits: list[EncounterId] = []
    tasks: list[TaskSheet] = []
    channels = (MoneyChannel.CASH, MoneyChannel.PHONE, MoneyChannel.CARD)
    for number, channel in enumerate(channels, start=1):
        patient = (await house.register(f"测试·{number}", number)).patient
        visit = await house.arrive(patient.id)
        await house.later(minutes=4 * number)
        await house.call_and_serve()
        lines = (drug(AMLODIPINE, number), drug(METFORMIN, 2, "0.5", "g"), lab(HBA1C), exam(ECHO))
        await house.sign(visit, lines)
        await house.quiet()
        await house.pay_all(visit.encounter, channel)
        tasks.append(await dispense(house))
        if number < len(channels):
            with house.acting("doctor"):
                await house.client(Encounters).finish(visit.encounter, Disposition.HOME)
        visits.append(visit.encounter)
    await house.quiet()
    return visits, tasks


async def give_back(house: Watched, sheet: TaskSheet) -> None:
    """One unopened box comes back, and its money goes."""
    line = sheet.lines[0]
    with house.acting("pharmacist"):
        await house.client(Pharmacy).take_back(
            TakeBack(
                id=ReturnId(new_id()),
                task=sheet.task.id,
                lines=(LineQuantity(line=line.id, quantity=1),),
                reason="拿错",
                approved_by="林岚",
            )
        )
    await house.later(minutes=2)  # the refund that is owed is made by itself, or by the cashier
    with house.acting("cashier"):
        due = await house.client(Billing).refunds_due(C1)
    for one in due:
        with house.acting("cashier"):
            await house.client(Billing).refund(
                AskRefund(
                    id=RefundId(new_id()),
                    bill=one.bill,
                    parts=(RefundPart(charge=one.charge, units=one.left),),
                    reason="退药",
                )
            )
    await house.later(minutes=2)


async def test_money_packs_and_visits_are_the_boards_own(house: Watched) -> None:
    """数据中心与各插板对账，差额 0.00：结算、退费、收付款、发药盒数、门诊人次、挂号。"""
    visits, tasks = await three_visits(house)
    await give_back(house, tasks[1])

    settled, refunded, by_category, legs = 0, 0, Counter[str](), 0
    for visit in visits:
        account = await house.account(visit)
        for bill in account.bills:
            with house.acting("cashier"):
                sheet = await house.client(Billing).bill(bill.id)
            settled += sheet.bill.total.fen
            for line in sheet.lines:
                by_category[line.category.value] += line.amount.fen
            with house.acting("cashier"):
                refunds = await house.client(Billing).refunds(bill.id)
            refunded += sum(refund.amount.fen for refund in refunds)
            for refund in refunds:
                for part in refund.lines:
                    by_category[part.category.value] -= part.amount.fen
            legs += sum(leg.amount.fen for leg in sheet.legs if leg.state.value == "paid")
    assert refunded > 0

    revenue = await house.report("billing.revenue-by-category")
    names = [measure.name for measure in revenue.measures]
    figures = dict(zip(names, revenue.total.figures, strict=True))
    assert (figures["settled"], figures["refunded"]) == (settled, refunded)
    assert figures["net"] == settled - refunded
    net = names.index("net")
    found = {r.path[0].code: r.figures[net] for r in revenue.rows if len(r.path) == 1}
    assert found == dict(by_category)
    assert await house.total("billing.payments-by-channel", "net") == legs
    assert await house.total("datacentre.revenue-by-department", "net") == settled - refunded

    handed_out = came_back = 0
    for task in tasks:
        with house.acting("pharmacist"):
            now = await house.client(Pharmacy).task(task.task.id)
        handed_out += sum(line.dispensed for line in now.lines)
        came_back += sum(line.returned for line in now.lines)
    assert (handed_out, came_back) == (12, 1)
    assert await house.total("pharmacy.dispensed-by-drug", "dispensed") == handed_out
    assert await house.total("pharmacy.dispensed-by-drug", "returned") == came_back
    assert await house.total("pharmacy.dispensing-wait", "tasks") == len(tasks)

    today = hospital_date(house.clock.now())
    with house.acting("doctor"):
        of_day = await house.client(Encounters).of_day(C1, today)
    finished = sum(e.state is EncounterState.FINISHED for e in of_day)
    assert finished == 2
    assert await house.total("encounters.visits-by-department", "finished") == finished
    waits = [e.started_at - e.arrived_at for e in of_day if e.started_at and e.arrived_at]
    mean = sum(wait.total_seconds() for wait in waits) / len(waits) / 60
    assert await house.total("encounters.waiting-by-department", "avg_wait") == round(mean, 1)

    with house.acting("triage-nurse"):
        offers = await house.client(Registrations).offers(C1, today)
    put_up = sum(slot.capacity for offer in offers for slot in offer.slots)
    left = sum(slot.remaining for offer in offers for slot in offer.slots)
    east = await house.report("registration.slot-use")
    c1 = next(r for r in east.rows if [m.code for m in r.path] == ["C1"])
    assert c1.figures[:2] == (put_up, put_up - left)


async def test_reports_cockpit_and_replay_of_a_hospital(house: Watched) -> None:
    """每张报表可用、口径齐全、合计可下钻；驾驶舱与报表一致；从头重放，每个数字不变。"""
    await three_visits(house)
    await every_report_runs(house)
    await the_cockpit_tells_the_same(house)
    await read_again_from_the_first_event(house)


async def every_report_runs(house: Watched) -> None:
    centre = house.client(DataCentre)
    await house.report("encounters.visits-by-department")
    with house.acting("manager"):
        cards = await centre.catalogue()
    with house.acting("manager"):
        fresh = await centre.freshness()
    assert fresh.problems == ()
    assert [source.problems for source in fresh.sources if source.problems] == []
    assert await house.runtime.parked() == ()
    assert [card.id for card in cards if not card.is_ready] == []
    assert len(cards) >= 10
    for card in cards:
        assert card.definition.zh
        assert card.definition.en != card.definition.zh
        sheet = await house.report(card.id)
        for measure in sheet.measures:
            with house.acting("manager"):
                facts = await centre.details(card.id, Selection(), measure.name)
            assert all(len(row.values) == len(facts.headings) for row in facts.rows)
            if measure.name in COUNTED.get(card.id, ()):
                place = sheet.measures.index(measure) - len(sheet.measures)
                assert facts.count == sheet.total.figures[place], (card.id, measure.name)


async def the_cockpit_tells_the_same(house: Watched) -> None:
    visits = await house.report("encounters.visits-by-department")
    with house.acting("manager"):
        cockpit = await house.client(DataCentre).cockpit(Selection())
    by_name = {figure.name: figure for figure in cockpit.figures}
    assert len(by_name) == 7
    assert by_name["visits"].value == visits.total.figures[1] == 2
    assert by_name["revenue"].value == await house.total("billing.revenue-by-category", "net")
    assert {panel.name for panel in cockpit.panels} == {
        "flow", "wait", "departments", "revenue", "campuses",
    }  # fmt: skip
    assert len(cockpit.quality) == 6
    assert all(figure.report for figure in (*cockpit.figures, *cockpit.quality))
    assert cockpit.as_of == house.clock.now()


async def read_again_from_the_first_event(house: Watched) -> None:
    centre = house.client(DataCentre)
    with house.acting("manager"):
        cards = await centre.catalogue()
    before = {card.id: (await house.report(card.id)).rows for card in cards}
    for board in list(house.runtime.plugged["datacentre"].service.collector.sources):
        with house.acting("administrator"):
            await centre.rebuild(board)
    assert {card.id: (await house.report(card.id)).rows for card in cards} == before
    assert any(before.values())

"""The laboratory 检验科: tubes are drawn, measured, verified; critical values are taken over."""

from datetime import timedelta
from decimal import Decimal
from itertools import groupby

import msgspec

from plugward.boards.lab.contract import (
    BenchView,
    Collect,
    CriticalId,
    EnterResults,
    NewResult,
    Test,
    WaitingRequest,
)
from plugward.commons.identity.seed import demo_staff_id
from plugward.kernel.envelope import Actor
from plugward.kernel.refusals import Refusal
from plugward.kit.time import Instant
from plugward.vocabulary import ReportId, SpecimenId

from ..cast import Member
from .hospital import Hospital
from .patient import Visits

LOOK_AGAIN_S = 60
DRAW_S = (60, 180)
MEASURE_S = (900, 2_700)
CRITICAL_SHARE = 0.004
OUT_OF_RANGE_SHARE = 0.18
OVERTIME = timedelta(hours=3)
WORDS = ("阴性", "阳性")


class Laboratory:
    """One campus's laboratory: a nurse who draws, two technicians who measure and verify."""

    def __init__(self, hospital: Hospital, member: Member, visits: Visits) -> None:
        self._hospital = hospital
        self._campus = member.campus
        self._visits = visits
        self._technician: Actor = hospital.cast.actor(member)
        second = demo_staff_id(f"second technician {member.campus}")
        self._second: Actor = hospital.cast.actor(msgspec.structs.replace(member, id=second))
        nurses = hospital.on_duty("nurse", member.campus)
        self._nurse: Actor = hospital.cast.actor(nurses[0]) if nurses else self._technician

    async def work(self, begins: Instant, ends: Instant) -> None:
        """Draw whoever may be drawn, until the day is over."""
        hospital, world = self._hospital, self._hospital.world
        await world.until(begins)
        while world.now() < ends + OVERTIME and not hospital.doors_close:
            if not self._visits.tubes_due(self._campus):
                await world.sleep(LOOK_AGAIN_S)
                continue
            with hospital.cast.acting(self._nurse):
                waiting = await hospital.lab.waiting(self._campus)
            ready = [
                w
                for w in waiting
                if w.may_start and self._visits.of(w.request.encounter) is not None
            ]
            for tube in _tubes(ready):
                await world.sleep(world.chance.uniform(*DRAW_S))
                await self._draw(tube)
            await self._take_over_critical_values()
            await world.sleep(LOOK_AGAIN_S)

    async def _draw(self, tube: list[WaitingRequest]) -> None:
        hospital = self._hospital
        try:
            with hospital.step("draw a tube", self._nurse):
                specimen = await hospital.lab.collect(
                    Collect(
                        id=SpecimenId(hospital.ids.new()),
                        requests=tuple(w.request.id for w in tube),
                    )
                )
        except Refusal:
            return  # counted
        hospital.world.begin(self._measure(specimen.barcode))

    async def _measure(self, barcode: str) -> None:
        """From the bench to the report, as an actor of its own: tubes overlap."""
        hospital, world = self._hospital, self._hospital.world
        await world.sleep(world.chance.uniform(120, 600))
        with hospital.step("receive a tube", self._technician):
            await hospital.lab.receive(barcode)
        await world.sleep(world.chance.uniform(*MEASURE_S))
        with hospital.cast.acting(self._technician):
            view = await hospital.lab.bench(barcode)
        with hospital.step("enter results", self._technician):
            await hospital.lab.enter(
                EnterResults(
                    specimen=view.specimen.id,
                    results=tuple(
                        NewResult(item=test.item, value=self._value(test, view))
                        for test in view.tests
                    ),
                )
            )
        await world.sleep(world.chance.uniform(60, 300))
        with hospital.step("verify a report", self._second):
            report = await hospital.lab.verify(view.specimen.id, ReportId(hospital.ids.new()))
        visit = self._visits.of(report.encounter)
        if visit is not None:
            visit.results_due -= len(report.requests)
        hospital.journal.waited(
            "drawn → report", (world.now() - report.collected_at).total_seconds()
        )

    async def _take_over_critical_values(self) -> None:
        hospital = self._hospital
        doctors = hospital.on_duty("doctor", self._campus)
        if not doctors:
            return
        doctor = hospital.cast.actor(hospital.world.chance.choice(doctors))
        with hospital.cast.acting(doctor):
            open_ones = await hospital.lab.critical_values(self._campus)
        for critical in open_ones:
            if self._visits.of(critical.encounter) is not None:
                await self._acknowledge(doctor, critical.id)

    async def _acknowledge(self, doctor: Actor, critical: CriticalId) -> None:
        hospital = self._hospital
        await hospital.world.sleep(hospital.world.chance.uniform(60, 240))
        try:
            with hospital.step("take over a critical value", doctor):
                await hospital.lab.acknowledge(critical, "已通知患者，已处理。")
        except Refusal:
            return  # somebody was quicker

    def _value(self, test: Test, view: BenchView) -> str:
        """A plausible value: mostly in range, sometimes out, rarely critical."""
        chance = self._hospital.world.chance
        female = view.subject is not None and view.subject.sex == "female"
        low, high = (test.low_f, test.high_f) if female else (test.low_m, test.high_m)
        if not test.is_numeric:
            return WORDS[chance.random() < OUT_OF_RANGE_SHARE]
        draw = chance.random()
        if test.critical_high is not None and draw < CRITICAL_SHARE:
            return _written(float(test.critical_high) * 1.05)
        floor, top = float(low or 0), float(high or (low or 1) * 2)
        if draw < OUT_OF_RANGE_SHARE:
            edge = float(test.critical_high) if test.critical_high is not None else top * 1.4
            return _written(chance.uniform(top, max(top, min(edge * 0.98, top * 1.4))))
        return _written(chance.uniform(floor, top))


def _written(value: float) -> str:
    return str(Decimal(value).quantize(Decimal("0.01")))


def _tubes(waiting: list[WaitingRequest]) -> list[list[WaitingRequest]]:
    """One tube for the requests of one visit that share a container."""
    ordered = sorted(waiting, key=_tube_of)
    return [list(tube) for _, tube in groupby(ordered, key=_tube_of)]


def _tube_of(waiting: WaitingRequest) -> tuple[str, str]:
    return str(waiting.request.encounter), waiting.container

"""Doctors 医生: call, see, write, order, finish."""

from datetime import timedelta

from plugward.boards.calling.contract import (
    NobodyWaits,
    QueueCode,
    StillCalling,
    Ticket,
    TicketState,
)
from plugward.boards.encounters.contract import Disposition
from plugward.boards.orders.contract import NewLine, SignGroup
from plugward.boards.records.contract import Diagnosis, NoteContent, SignNote, Vitals
from plugward.kernel.envelope import Actor
from plugward.kernel.refusals import Refusal
from plugward.kit.time import Instant
from plugward.vocabulary import NoteId, OrderGroupId, OrderKind, OrderLineId

from ..cast import Member
from .hospital import Hospital
from .menu import Menu, plain_line
from .patient import Visit, Visits

LOOK_AGAIN_S = 45
OVERTIME = timedelta(hours=2)
CONSULT_S = (150, 480)
WITH_RESULTS_S = (60, 180)
CALLS = 3  # the house rule
# Shares of a general outpatient clinic: assumptions, not measurements.
WITH_DRUGS = 0.72
WITH_LABS = 0.42
WITH_EXAM = 0.18
BACK_WITH_RESULTS = 0.5


class Doctor:
    """One doctor's day, from the first number to the last patient."""

    def __init__(self, hospital: Hospital, member: Member, menu: Menu, visits: Visits) -> None:
        self._hospital = hospital
        self._member = member
        self._menu = menu
        self._visits = visits
        self._actor: Actor = hospital.cast.actor(member)

    async def work(self, begins: Instant, ends: Instant) -> None:
        """See whoever waits until the day is over and nobody is left."""
        world = self._hospital.world
        await world.until(begins)
        queues: tuple[QueueCode, ...] = ()
        while world.now() < ends + OVERTIME:
            seen = False
            if self._visits.somebody_for(self._member.id):
                queues = queues or await self._queues()
                for queue in queues:
                    seen = await self._next(queue) or seen
            if not seen:
                if world.now() > ends and self._visits.nobody_waits(self._member.id):
                    return
                await world.sleep(LOOK_AGAIN_S)

    async def _queues(self) -> tuple[QueueCode, ...]:
        with self._hospital.cast.acting(self._actor):
            desks = await self._hospital.calling.queues_of(self._member.id, self._hospital.today)
        return tuple(dict.fromkeys(desk.queue for desk in desks))

    async def _next(self, queue: QueueCode) -> bool:
        hospital = self._hospital
        try:
            with hospital.step("call next", self._actor):
                ticket = await hospital.calling.call_next(queue, self._member.id, self._member.room)
        except NobodyWaits:
            return False
        except StillCalling as still:
            with hospital.step("call again", self._actor):
                ticket = await hospital.calling.recall(still.ticket)
        visit = self._visits.of(ticket.encounter)
        await hospital.world.sleep(30)
        if visit is None or visit.is_elsewhere:
            return await self._nobody_came(ticket)
        await self._see(ticket, visit)
        return True

    async def _nobody_came(self, ticket: Ticket) -> bool:
        """Call three times, then go on; whoever shows up later re-enters by rule."""
        hospital = self._hospital
        while ticket.calls < CALLS:
            await hospital.world.sleep(20)
            with hospital.step("call again", self._actor):
                ticket = await hospital.calling.recall(ticket.id)
        if ticket.state is TicketState.CALLED:
            with hospital.step("miss", self._actor):
                await hospital.calling.miss(ticket.id)
        return True

    async def _see(self, ticket: Ticket, visit: Visit) -> None:
        hospital, chance = self._hospital, self._hospital.world.chance
        with hospital.step("patient comes in", self._actor):
            await hospital.calling.serve(ticket.id)
        visit.is_back = False
        if visit.seen_at is None:
            visit.seen_at = hospital.world.now()
            hospital.journal.waited("check-in → doctor", visit.waited_s)
            await hospital.world.sleep(chance.uniform(*CONSULT_S))
            await self._write_and_order(visit)
            if visit.comes_back:
                visit.told_to_return = True
                return
        else:
            await hospital.world.sleep(chance.uniform(*WITH_RESULTS_S))
        with hospital.step("finish visit", self._actor):
            await hospital.encounters.finish(visit.encounter, Disposition.HOME)
        visit.is_finished = True

    async def _write_and_order(self, visit: Visit) -> None:
        hospital, chance = self._hospital, self._hospital.world.chance
        diagnosis = chance.choice(self._menu.diagnoses)
        content = NoteContent(
            complaint=f"{diagnosis.name_zh}相关不适{chance.randint(1, 14)}天。",
            present_illness="症状如主诉，饮食睡眠可。（模拟病历）",
            vitals=Vitals(
                systolic_mmhg=chance.randint(105, 165),
                diastolic_mmhg=chance.randint(62, 98),
                pulse_per_min=chance.randint(58, 104),
            ),
            diagnoses=(Diagnosis(icd10=diagnosis.icd10),),
            plan="对症处理，不适随诊。",
        )
        with hospital.step("sign note", self._actor):
            await hospital.records.sign(
                SignNote(
                    id=NoteId(hospital.ids.new()),
                    encounter=visit.encounter,
                    patient=visit.patient,
                    campus=self._member.campus,
                    department=self._member.department,
                    content=content,
                )
            )
        lines = self._choose(visit)
        if lines:
            await self._sign(visit, lines, diagnosis.name_zh)

    async def _sign(self, visit: Visit, lines: tuple[NewLine, ...], indication: str) -> None:
        hospital = self._hospital
        try:
            with hospital.step("sign orders", self._actor):
                await hospital.orders.sign(
                    SignGroup(
                        id=OrderGroupId(hospital.ids.new()),
                        encounter=visit.encounter,
                        patient=visit.patient,
                        campus=self._member.campus,
                        department=self._member.department,
                        lines=lines,
                        indication=indication,
                    )
                )
        except Refusal:
            return  # counted; the patient leaves without orders
        visit.lines = lines
        visit.results_due = sum(line.kind is OrderKind.LAB for line in lines)

    def _choose(self, visit: Visit) -> tuple[NewLine, ...]:
        chance, ids = self._hospital.world.chance, self._hospital.ids
        lines: list[NewLine] = []
        if chance.random() < WITH_DRUGS:
            count = chance.choice((1, 2, 2, 3, 3, 4))
            fresh = [OrderLineId(ids.new()) for _ in range(count)]
            lines += self._menu.prescription(chance, fresh)
        if chance.random() < WITH_LABS:
            items = chance.sample(self._menu.labs, chance.choice((1, 1, 2, 3)))
            lines += [plain_line(item, OrderLineId(ids.new())) for item in items]
        if chance.random() < WITH_EXAM:
            lines.append(plain_line(chance.choice(self._menu.exams), OrderLineId(ids.new())))
        visit.comes_back = (
            any(line.kind is OrderKind.LAB for line in lines)
            and chance.random() < BACK_WITH_RESULTS
        )
        return tuple(lines)

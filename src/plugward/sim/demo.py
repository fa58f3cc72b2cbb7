"""The demo 演示: what ``plugward up --demo`` finds on its first start, and today's slow day.

The visitor plays Dr Lin (D10247), the cashier and the pharmacist; everybody else plays themselves.
"""

import asyncio
import contextvars
import logging
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

from plugward.boards.billing.contract import Billing, LegId, LineState, OpenBill, Pay
from plugward.boards.billing.contract import Channel as MoneyChannel
from plugward.boards.encounters.contract import (
    Disposition,
    EncounterKind,
    Encounters,
    OpenEncounter,
)
from plugward.boards.orders.contract import NewLine, Orders, SignGroup
from plugward.boards.patients.contract import (
    ID_CARD,
    AllergyId,
    Contact,
    ContactKind,
    Coverage,
    CoverageKind,
    Patients,
    RecordAllergy,
    RegisterPatient,
    Severity,
)
from plugward.boards.records.contract import Diagnosis, NoteContent, Records, SignNote, Vitals
from plugward.boards.registration.contract import (
    ArrivalMarks,
    BookAppointment,
    Channel,
    Registrations,
)
from plugward.kernel.clock import SystemClock
from plugward.kernel.envelope import acting_as
from plugward.kernel.refusals import Refusal, Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kit.ids import derive, seeded_id
from plugward.kit.time import hospital_date, hospital_midnight, milliseconds
from plugward.vocabulary import (
    AppointmentId,
    BillId,
    CampusCode,
    DepartmentCode,
    EncounterId,
    Identifier,
    NoteId,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    PatientId,
    Sex,
)

from .cast import Cast, Ids, Member
from .clinics import ROUND_THE_CLOCK, sessions_of
from .day.slow import SlowDay
from .foundation import lay_foundation, planner
from .outside.demo import connect_systems
from .people import Person, id_card, make_person
from .progress import Steps
from .staff import demo_members

_log = logging.getLogger("plugward.demo")
PACKS = 2_000
MAIN_DOCTOR = "林予安"
DEPARTMENTS = {
    "C1-CARD": "心血管内科",
    "C1-ENDO": "内分泌科",
    "C1-RESP": "呼吸内科",
    "C1-EM": "急诊科",
    "C2-CARD": "心血管内科",
    "C2-RESP": "呼吸内科",
    "C3-CARD": "心血管内科",
}
# Dr Lin's regular patients, with what they take: item, packs, dose, unit, route, frequency.
Drug = tuple[str, int, str, str, str, str]
HYPERTENSION: tuple[Drug, ...] = (
    ("D0034", 2, "10", "mg", "PO", "QD"),
    ("D0171", 2, "0.5", "g", "PO", "BID"),
    ("D0052", 4, "40", "mg", "PO", "QN"),
)
_REGULARS: tuple[tuple[str, str, str, str, tuple[Drug, ...]], ...] = (
    ("周建民", "male", "1959-03-02", "青霉素", HYPERTENSION),
    ("沈玉兰", "female", "1955-07-11", "", HYPERTENSION[:2]),
    ("曹磊", "male", "1981-05-23", "", ()),
    ("金彩霞", "female", "1968-01-30", "", HYPERTENSION[1:2]),
    ("范志军", "male", "1963-09-17", "", HYPERTENSION[:1]),
    ("邓美珍", "female", "1990-12-08", "磺胺", ()),
)


async def seed(runtime: Runtime, steps: Steps) -> None:
    """Fill an empty hospital; on a filled one only today's clinics are added."""
    demo = _Seed(runtime)
    await connect_systems(runtime)
    step = steps.begin("catalogues and stock 目录与库存", 1)
    await lay_foundation(runtime, demo.cast, demo.ids, packs=PACKS)
    steps.advance(step)
    await demo.clinics(steps)
    await demo.regulars(steps)
    await runtime.quiet(patience_s=60)


def begin_day(runtime: Runtime, *, speed: float) -> "asyncio.Task[None]":
    """Let today's patients come in, slowly, in the background."""
    slow = SlowDay(runtime, demo_members(), speed)
    loop = asyncio.get_running_loop()
    return loop.create_task(slow.run(), context=contextvars.Context())


class _Seed:
    """Everything here has ids that follow from the day, so that a second start adds nothing."""

    def __init__(self, runtime: Runtime) -> None:
        clock = runtime.clock
        assert isinstance(clock, SystemClock)
        self._runtime = runtime
        self.ids = Ids(clock, Random())  # noqa: S311 - requests, not secrets
        self.cast = Cast(runtime, self.ids)
        self._today = hospital_date(clock.now())
        self._midnight = hospital_midnight(self._today)
        members = demo_members()
        self._doctors = tuple(m for m in members if m.role == "doctor")
        self._main: Member = next(m for m in members if m.name == MAIN_DOCTOR)
        self._desk: Member = next(m for m in members if m.role == "registrar")
        self._cashier: Member = next(m for m in members if m.role == "cashier")
        self._triage: Member = next(m for m in members if m.role == "triage-nurse")

    def _id(self, *parts: object) -> UUID:
        return seeded_id(milliseconds(self._midnight), f"demo:{parts}".encode())

    async def clinics(self, steps: Steps) -> None:
        """Today's sessions round the clock, so that the demo lives at any hour."""
        sessions = tuple(
            sessions_of(
                self._doctors, self._today, DEPARTMENTS, per_slot=6, periods=ROUND_THE_CLOCK
            )
        )
        step = steps.begin("today's clinics 今日出诊", len(sessions))
        registration = self._runtime.client(Registrations)
        for session in sessions:
            request = self._id("publish", session.id)
            with acting_as(planner(self.cast), campus=session.campus, request=request):
                await registration.publish_session(session)
            steps.advance(step)

    async def regulars(self, steps: Steps) -> None:
        """Dr Lin's regular patients: registered, with a history, and waiting today."""
        step = steps.begin("patients 患者", len(_REGULARS))
        for number, regular in enumerate(_REGULARS):
            name, sex, born, allergy, drugs = regular
            today = self._today
            person = make_person(_chance(name), number, today, milliseconds(self._midnight))
            birth, kind = date.fromisoformat(born), Sex(sex)
            person = Person(
                id=seeded_id(1_767_196_800_000, f"regular:{name}".encode()),
                name=name,
                sex=kind,
                born=birth,
                id_card=id_card(birth, kind, number),
                phone=person.phone,
                address=person.address,
                is_insured=True,
            )
            patient = await self._register(person, allergy)
            if drugs:
                await self._earlier_visit(patient, name, drugs)
            await self._come_today(patient, number)
            steps.advance(step)

    async def _register(self, person: Person, allergy: str) -> PatientId:
        patients = self._runtime.client(Patients)
        with acting_as(self.cast.actor(self._triage), request=self._id("register", person.id)):
            registered = await patients.register(
                RegisterPatient(
                    id=PatientId(person.id),
                    campus=self._main.campus,
                    name=person.name,
                    sex=person.sex,
                    birth_date=person.born,
                    identifiers=(Identifier(system=ID_CARD, value=person.id_card),),
                    contacts=(Contact(kind=ContactKind.PHONE, value=person.phone),),
                    coverage=Coverage(
                        kind=CoverageKind.EMPLOYEE, has_chronic_supplement=True, region="本市"
                    ),
                )
            )
        if allergy and not registered.patient.allergies:
            with acting_as(self.cast.actor(self._triage), request=self._id("allergy", person.id)):
                await patients.record_allergy(
                    RecordAllergy(
                        id=AllergyId(derive(person.id, "allergy", allergy)),
                        patient=registered.patient.id,
                        substance=allergy,
                        reaction="皮疹",
                        severity=Severity.SEVERE,
                    )
                )
        return registered.patient.id

    async def _earlier_visit(self, patient: PatientId, name: str, drugs: tuple[Drug, ...]) -> None:
        """A visit that is over: seen, written, prescribed; so that *repeat* has something."""
        runtime, doctor = self._runtime, self.cast.actor(self._main)
        encounter = EncounterId(derive(patient, "earlier"))
        encounters, orders = runtime.client(Encounters), runtime.client(Orders)
        with acting_as(doctor):
            if any(e.id == encounter for e in await encounters.many((encounter,))):
                return
        with acting_as(doctor, request=self.ids.new()):
            await encounters.open(
                OpenEncounter(
                    id=encounter,
                    patient=patient,
                    patient_name=name,
                    campus=self._main.campus,
                    department=self._main.department,
                    kind=EncounterKind.OUTPATIENT,
                    doctor=self._main.id,
                    doctor_name=self._main.name,
                )
            )
        with acting_as(doctor, request=self.ids.new()):
            await encounters.start(encounter, self._main.id, self._main.name)
        with acting_as(doctor, request=self.ids.new()):
            await runtime.client(Records).sign(self._note(encounter, patient))
        with acting_as(doctor, request=self.ids.new()):
            await orders.sign(self._group(encounter, patient, drugs))
        with acting_as(doctor, request=self.ids.new()):
            await encounters.finish(encounter, Disposition.HOME)
        await self._settle(encounter)

    def _note(self, encounter: EncounterId, patient: PatientId) -> SignNote:
        return SignNote(
            id=NoteId(derive(encounter, "note")),
            encounter=encounter,
            patient=patient,
            campus=self._main.campus,
            department=self._main.department,
            content=NoteContent(
                complaint="发现血压升高 8 年，头胀 1 周。",
                present_illness="8 年前体检发现血压升高，长期服药，家庭自测 150–162/90–96 mmHg。",
                past_history="2 型糖尿病 5 年。",
                vitals=Vitals(systolic_mmhg=158, diastolic_mmhg=94, pulse_per_min=82),
                diagnoses=(Diagnosis(icd10="I10"),),
                plan="续用原方，低盐饮食，监测血压。",
            ),
        )

    def _group(
        self, encounter: EncounterId, patient: PatientId, drugs: tuple[Drug, ...]
    ) -> SignGroup:
        return SignGroup(
            id=OrderGroupId(derive(encounter, "group")),
            encounter=encounter,
            patient=patient,
            campus=self._main.campus,
            department=self._main.department,
            indication="高血压病",
            lines=tuple(
                NewLine(
                    id=OrderLineId(derive(encounter, item)),
                    kind=OrderKind.DRUG,
                    item=item,
                    quantity=packs,
                    dose=Decimal(dose),
                    dose_unit=unit,
                    route=route,
                    frequency=frequency,
                    days=28,
                )
                for item, packs, dose, unit, route, frequency in drugs
            ),
        )

    async def _settle(self, encounter: EncounterId) -> None:
        """The earlier prescription was paid in cash; it is handed out by the pharmacist on duty."""
        billing, cashier = self._runtime.client(Billing), self.cast.actor(self._cashier)
        await self._runtime.quiet(patience_s=60)
        with acting_as(cashier):
            account = await billing.account(encounter)
        charges = tuple(line.id for line in account.lines if line.state is LineState.PENDING)
        if not charges:
            return
        bill = BillId(derive(encounter, "bill"))
        with acting_as(cashier, request=self.ids.new()):
            await billing.open_bill(
                OpenBill(id=bill, encounter=encounter, campus=self._main.campus, charges=charges)
            )
        with acting_as(cashier, request=self.ids.new()):
            await billing.pay(
                Pay(id=LegId(derive(bill, "cash")), bill=bill, channel=MoneyChannel.CASH)
            )

    async def _come_today(self, patient: PatientId, number: int) -> None:
        """A number with Dr Lin now, and checked in at the desk."""
        runtime = self._runtime
        registration, now = runtime.client(Registrations), runtime.clock.now()
        appointment = AppointmentId(self._id("appointment", patient))
        triage = self.cast.actor(self._triage)
        with acting_as(triage):
            offers = await registration.offers(
                self._main.campus, self._today, DepartmentCode("C1-CARD")
            )
        slots = sorted(
            (
                slot
                for offer in offers
                if offer.session.doctor == self._main.id
                for slot in offer.slots
                if slot.remaining and slot.ends_at > now + timedelta(minutes=2)
            ),
            key=lambda s: s.starts_at,
        )
        if not slots:
            return
        request = BookAppointment(
            id=appointment,
            encounter=EncounterId(self._id("encounter", patient)),
            patient=patient,
            slot=slots[number // 6].id,
            channel=Channel.NURSE,
        )
        try:
            with acting_as(triage, request=self._id("book", patient)):
                booked = await registration.book(request)
            with acting_as(triage, request=self._id("check-in", patient)):
                await registration.check_in(
                    booked.id, CampusCode(self._main.campus), ArrivalMarks()
                )
        except (Refusal, Unavailable) as refused:
            _log.info("the demo's patient %s does not come today: %s", number, refused)


def _chance(name: str) -> Random:
    return Random(name)  # noqa: S311 - invented people, not secrets

"""A morning in cardiology for the browser: Dr Lin's patients wait, one of them to be repeated."""

from datetime import date
from decimal import Decimal
from random import Random

from plugward.boards.encounters.contract import Encounters, EncounterState, OpenEncounter
from plugward.boards.orders.contract import NewLine, Orders, SignGroup
from plugward.boards.patients.contract import (
    ID_CARD,
    AllergyId,
    AllergySource,
    Patients,
    RecordAllergy,
    RegisterPatient,
    Severity,
)
from plugward.boards.registration.contract import (
    ArrivalMarks,
    BookAppointment,
    Channel,
    DayPeriod,
    Registrations,
)
from plugward.kernel.envelope import acting_as
from plugward.kernel.runtime import Runtime
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_date
from plugward.sim.cast import Cast, Ids, Member
from plugward.sim.clinics import sessions_of
from plugward.sim.foundation import lay_foundation, planner
from plugward.sim.people import id_card
from plugward.sim.staff import demo_members
from plugward.vocabulary import (
    AppointmentId,
    CampusCode,
    DepartmentCode,
    EncounterId,
    Identifier,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    PatientId,
    Sex,
)

C1, CARDIOLOGY = CampusCode("C1"), DepartmentCode("C1-CARD")
ALL_DAY = {DayPeriod.MORNING: (0, 12 * 60), DayPeriod.AFTERNOON: (12 * 60, 24 * 60)}
ZHOU, SHEN, CAO = "周建民", "沈玉兰", "曹磊"


class Morning:
    """What is there when the doctor sits down."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.ids = Ids(runtime.clock, Random(3))
        self.cast = Cast(runtime, self.ids)
        self.today = hospital_date(runtime.clock.now())
        self.visits: dict[str, EncounterId] = {}
        self.patients: dict[str, PatientId] = {}

    async def prepare(self) -> "Morning":
        """Catalogues, today's clinics, three patients in the waiting hall."""
        await lay_foundation(self.runtime, self.cast, self.ids, packs=40)
        doctors = tuple(
            m for m in demo_members() if m.role == "doctor" and m.department == CARDIOLOGY
        )
        sessions = sessions_of(
            doctors,
            self.today,
            {CARDIOLOGY: "心血管内科"},
            per_slot=6,
            periods=ALL_DAY,
        )
        for session in sessions:
            with acting_as(planner(self.cast), campus=session.campus, request=new_id()):
                await self.runtime.client(Registrations).publish_session(session)
        await self.runtime.quiet(patience_s=60)
        await self.arrive(ZHOU, Sex.MALE, date(1959, 3, 2), 1)
        await self.arrive(SHEN, Sex.FEMALE, date(1955, 7, 9), 2)
        await self.arrive(CAO, Sex.MALE, date(1981, 1, 30), 3)
        await self.allergy(ZHOU)
        await self.no_allergy(SHEN)
        await self.prescribed_before(ZHOU)
        await self.runtime.quiet(patience_s=60)
        return self

    def member(self, role: str) -> Member:
        return next(m for m in demo_members() if m.role == role and m.campus == C1)

    async def arrive(self, name: str, sex: Sex, born: date, number: int) -> None:
        """Registered, booked with Dr Lin, checked in."""
        client = self.runtime.client
        request = RegisterPatient(
            id=PatientId(new_id()),
            campus=C1,
            name=name,
            sex=sex,
            birth_date=born,
            identifiers=(Identifier(system=ID_CARD, value=id_card(born, sex, number)),),
        )
        with self._as("registrar"):
            patient = (await client(Patients).register(request)).patient
        lin = self.member("doctor")
        with self._as("triage-nurse"):
            offers = await client(Registrations).offers(C1, self.today, CARDIOLOGY)
        slot = next(
            s
            for offer in offers
            if offer.session.doctor == lin.id
            for s in offer.slots
            if s.remaining and s.ends_at > self.runtime.clock.now()
        )
        with self._as("triage-nurse"):
            booked = await client(Registrations).book(
                BookAppointment(
                    id=AppointmentId(new_id()),
                    encounter=EncounterId(new_id()),
                    patient=patient.id,
                    slot=slot.id,
                    channel=Channel.NURSE,
                )
            )
        with self._as("triage-nurse"):
            await client(Registrations).check_in(booked.id, C1, ArrivalMarks())
        await self.runtime.quiet(patience_s=60)
        self.visits[name], self.patients[name] = booked.encounter, patient.id

    async def allergy(self, name: str) -> None:
        with self._as("doctor"):
            await self.runtime.client(Patients).record_allergy(
                RecordAllergy(
                    id=AllergyId(new_id()),
                    patient=self.patients[name],
                    substance="青霉素",
                    reaction="喉头水肿",
                    severity=Severity.SEVERE,
                )
            )

    async def no_allergy(self, name: str) -> None:
        with self._as("doctor"):
            await self.runtime.client(Patients).declare_no_allergies(
                self.patients[name], AllergySource.PATIENT
            )

    async def prescribed_before(self, name: str) -> None:
        """Dr Lin's prescription of an earlier visit: the design's three drugs."""
        earlier = EncounterId(new_id())
        with self._as("doctor"):
            await self.runtime.client(Encounters).open(
                OpenEncounter(
                    id=earlier,
                    patient=self.patients[name],
                    patient_name=name,
                    campus=C1,
                    department=CARDIOLOGY,
                )
            )
        with self._as("doctor"):
            await self.runtime.client(Orders).sign(
                SignGroup(
                    id=OrderGroupId(new_id()),
                    encounter=earlier,
                    patient=self.patients[name],
                    campus=C1,
                    department=CARDIOLOGY,
                    lines=(
                        drug("D0034", 2, "10", "mg", "QD"),
                        drug("D0171", 2, "0.5", "g", "BID"),
                        drug("D0052", 4, "40", "mg", "QN"),
                    ),
                )
            )

    async def state_of(self, name: str) -> EncounterState:
        with self._as("doctor"):
            return (await self.runtime.client(Encounters).get(self.visits[name])).state

    async def orders_of(self, name: str) -> list[tuple[str, int]]:
        """What is signed in this visit, item and quantity."""
        with self._as("doctor"):
            groups = await self.runtime.client(Orders).for_encounter(self.visits[name])
        return [(line.item, line.quantity) for group in groups for line in group.lines]

    def _as(self, role: str):  # type: ignore[no-untyped-def]  # a context manager
        return acting_as(self.cast.actor(self.member(role)), campus=C1, request=new_id())


def drug(item: str, packs: int, dose: str, unit: str, frequency: str) -> NewLine:
    return NewLine(
        id=OrderLineId(new_id()),
        kind=OrderKind.DRUG,
        item=item,
        quantity=packs,
        dose=Decimal(dose),
        dose_unit=unit,
        route="PO",
        frequency=frequency,
        days=28,
    )

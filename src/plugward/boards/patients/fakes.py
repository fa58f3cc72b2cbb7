"""A fake of the patient index for other boards' tests: the contract in memory."""

from datetime import date

from plugward.kernel import Clinical, Identifying, Plain
from plugward.kit.ids import new_id
from plugward.kit.time import Instant, hospital_time
from plugward.vocabulary import CampusCode, PatientId, Sex

from .contract import (
    ID_CARD,
    AllergiesOnRecord,
    Allergy,
    AllergyId,
    AllergyNotFound,
    AllergySource,
    AllergyState,
    AlreadyMerged,
    Candidate,
    Contact,
    ContactKind,
    Coverage,
    CoverageKind,
    LocalNumber,
    MatchOutcome,
    NotMerged,
    Patient,
    PatientName,
    PatientNotFound,
    Patients,
    PatientSummary,
    RecordAllergy,
    RegisterPatient,
    Registration,
    SentRecord,
    TimelineEntry,
    UpdatePatient,
    local_system,
)


class FakePatients(Patients):
    """``fake.add("沈玉兰")`` puts a patient there; everything else is the contract."""

    def __init__(self, now: str = "2026-03-02 08:00") -> None:
        self.people: dict[PatientId, Patient] = {}
        self.asked: set[PatientId] = set()
        self._now: Instant = hospital_time(now)

    def add(
        self,
        name: str = "沈玉兰",
        *,
        id: PatientId | None = None,
        sex: Sex = Sex.FEMALE,
        birth_date: date | None = date(1964, 5, 20),
        campus: str = "C1",
    ) -> Patient:
        """Put one patient there."""
        number = f"{campus}-{len(self.people) + 1:08d}"
        made = Patient(
            id=id or PatientId(new_id()),
            person=id or PatientId(new_id()),
            name=name,
            pinyin="",
            sex=sex,
            birth_date=birth_date,
            identifiers=(),
            local_numbers=(LocalNumber(campus=CampusCode(campus), value=number),),
            contacts=(Contact(kind=ContactKind.PHONE, value="13900000000"),),
            coverage=Coverage(kind=CoverageKind.EMPLOYEE),
            allergy_state=AllergyState.NOT_ASKED,
            allergies=(),
            campus=CampusCode(campus),
            registered_at=self._now,
        )
        made = made.replace(person=made.id)
        self.people[made.id] = made
        return made

    async def register(self, request: RegisterPatient) -> Registration:
        for person in self.people.values():
            card = person.identifier(ID_CARD)
            if card and any((i.system, i.value) == (ID_CARD, card) for i in request.identifiers):
                return Registration(patient=person, outcome=MatchOutcome.LINKED)
        made = self.add(
            request.name.strip(),
            id=request.id,
            sex=request.sex,
            birth_date=request.birth_date,
            campus=request.campus,
        )
        made = made.replace(
            identifiers=request.identifiers,
            contacts=request.contacts,
            coverage=request.coverage or Coverage(),
        )
        self.people[made.id] = made
        return Registration(patient=made, outcome=MatchOutcome.NEW)

    async def update(self, request: UpdatePatient) -> Patient:
        found = await self.get(request.patient)
        return self._put(
            found.replace(
                name=request.name or found.name,
                sex=request.sex or found.sex,
                birth_date=request.birth_date or found.birth_date,
                identifiers=(*found.identifiers, *request.identifiers),
                contacts=(*found.contacts, *request.contacts),
                coverage=request.coverage or found.coverage,
            )
        )

    async def record_allergy(self, request: RecordAllergy) -> Patient:
        found = await self.get(request.patient)
        allergy = Allergy(
            **request.fields(),
            campus=found.campus,
            recorded_by="staff:fake",
            recorded_at=self._now,
        )
        return self._put(
            found.replace(allergies=(*found.allergies, allergy), allergy_state=AllergyState.PRESENT)
        )

    async def declare_no_allergies(self, patient: PatientId, source: AllergySource) -> Patient:
        del source
        found = await self.get(patient)
        if found.allergy_state is AllergyState.PRESENT:
            raise AllergiesOnRecord
        self.asked.add(patient)
        return self._put(found.replace(allergy_state=AllergyState.NONE_KNOWN))

    async def refute_allergy(self, allergy: AllergyId, reason: Clinical) -> Patient:
        del reason
        for person in self.people.values():
            left = tuple(a for a in person.allergies if a.id != allergy)
            if len(left) < len(person.allergies):
                state = AllergyState.PRESENT if left else AllergyState.NOT_ASKED
                if not left and person.id in self.asked:
                    state = AllergyState.NONE_KNOWN
                return self._put(person.replace(allergies=left, allergy_state=state))
        raise AllergyNotFound

    async def merge(self, patient: PatientId, into: PatientId, reason: Plain) -> Patient:
        del reason
        merged, leader = await self.get(patient), await self.get(into)
        if merged.person == leader.person:
            raise AlreadyMerged
        self._put(merged.replace(person=leader.person))
        return leader

    async def unmerge(self, patient: PatientId, reason: Plain) -> Patient:
        del reason
        found = await self.get(patient)
        if found.person == found.id:
            raise NotMerged
        return self._put(found.replace(person=found.id))

    async def dismiss_candidate(self, patient: PatientId, other: PatientId, reason: Plain) -> None:
        del patient, other, reason

    async def get(self, patient: PatientId) -> Patient:
        if patient not in self.people:
            raise PatientNotFound
        return self.people[patient]

    async def identify(self, system: Plain, value: Identifying) -> Patient | None:
        for person in self.people.values():
            if person.identifier(system) == value or any(
                (local_system(n.campus), n.value) == (system, value) for n in person.local_numbers
            ):
                return person
        return None

    async def person_of(self, patient: PatientId) -> tuple[PatientId, ...]:
        leader = (await self.get(patient)).person
        others = (p.id for p in self.people.values() if p.person == leader and p.id != leader)
        return (leader, *others)

    async def many(self, wanted: tuple[PatientId, ...]) -> tuple[Patient, ...]:
        return tuple(self.people[p] for p in dict.fromkeys(wanted) if p in self.people)

    async def summaries(self, wanted: tuple[PatientId, ...]) -> tuple[PatientSummary, ...]:
        return tuple(_summary(self.people[p]) for p in wanted if p in self.people)

    async def names(self, wanted: tuple[PatientId, ...]) -> tuple[PatientName, ...]:
        known = (self.people[p] for p in wanted if p in self.people)
        return tuple(
            PatientName(id=p.id, person=p.person, name=p.name, birth_date=p.birth_date)
            for p in known
        )

    async def find(self, text: Identifying, limit: int = 20) -> tuple[PatientSummary, ...]:
        wanted = text.strip()
        return tuple(
            _summary(p)
            for p in self.people.values()
            if p.name.startswith(wanted) or any(n.value == wanted for n in p.local_numbers)
        )[:limit]

    async def timeline(
        self, wanted: tuple[PatientId, ...], before: Instant | None = None, limit: int = 50
    ) -> tuple[TimelineEntry, ...]:
        del wanted, before, limit
        return ()

    async def sent(self, patient: PatientId) -> tuple[SentRecord, ...]:
        del patient
        return ()

    async def candidates(self, limit: int = 50) -> tuple[Candidate, ...]:
        del limit
        return ()

    def _put(self, patient: Patient) -> Patient:
        self.people[patient.id] = patient
        return patient


def _summary(patient: Patient) -> PatientSummary:
    return PatientSummary(
        id=patient.id,
        person=patient.person,
        name=patient.name,
        sex=patient.sex,
        birth_date=patient.birth_date,
        local_number=patient.local_numbers[0].value if patient.local_numbers else "",
        phone_end=patient.phone[-4:],
        id_card_end=patient.identifier(ID_CARD)[-4:],
        coverage=patient.coverage.kind,
        allergy_state=patient.allergy_state,
    )

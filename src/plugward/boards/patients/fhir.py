"""FHIR: Patient, AllergyIntolerance and Coverage, as the index of persons holds them.

An update adds and puts right; it removes nothing, because every record keeps what it was told.
"""

from datetime import date
from typing import TypeVar
from uuid import UUID

from plugward.kernel.fhir import (
    Ask,
    Concept,
    Element,
    Found,
    Json,
    Made,
    Number,
    Query,
    Reference,
    Resource,
    Sent,
    Unfit,
    actor,
    choose,
    concept,
    day_of,
    moment,
    pair,
    parted,
    refer,
    reference,
    stamp,
    string,
    system,
    take,
    target_of,
    tidy,
    token,
    uuid_of,
)
from plugward.vocabulary import CampusCode, Identifier, PatientId, Sex

from .contract import (
    ID_CARD,
    INSURANCE_NO,
    PASSPORT,
    Allergy,
    AllergyId,
    AllergySource,
    Contact,
    ContactKind,
    CoverageKind,
    MatchOutcome,
    Patient,
    Patients,
    RecordAllergy,
    RegisterPatient,
    Severity,
    UpdatePatient,
    local_system,
)

T = TypeVar("T")
SYSTEMS = {
    ID_CARD: "urn:oid:2.16.156.10011.1.3",
    INSURANCE_NO: system(INSURANCE_NO),
    PASSPORT: system(PASSPORT),
}
"""Our identifier systems → FHIR's. Others and the campuses' own numbers: ``urn:plugward:…``."""
SENT = {fhir: own for own, fhir in SYSTEMS.items()}
PAYERS = {
    CoverageKind.EMPLOYEE: "EHCPOL",
    CoverageKind.RESIDENT: "PUBLICPOL",
    CoverageKind.COMMERCIAL: "HIP",
}
"""v3-ActCode, the nearest types; the hospital's own code stands beside them."""
SEVERITIES = {
    Severity.MILD: "mild",
    Severity.MODERATE: "moderate",
    Severity.SEVERE: "severe",
}
READ_MAX = 50
ALTERNATIVES_MAX = 10
FOUND_MAX = 20
"""``find`` answers so many at most: the index is not there to be leafed through."""


# ── Patient ──────────────────────────────────────────────────────────────────────────────────


def patient_resource(patient: Patient) -> Json:
    leads = patient.person == patient.id
    numbers = [(system(local_system(n.campus)), n.value) for n in patient.local_numbers]
    others = [(SYSTEMS.get(i.system, system(i.system)), i.value) for i in patient.identifiers]
    return tidy(
        {
            "resourceType": "Patient",
            "id": str(patient.id),
            "identifier": [{"system": s, "value": v} for s, v in (*others, *numbers)],
            "active": leads,
            "name": [{"text": patient.name}],
            "telecom": _phones(patient, ContactKind.PHONE),
            "gender": patient.sex.value,
            "birthDate": patient.birth_date.isoformat() if patient.birth_date else None,
            "address": [
                {"text": c.value} for c in patient.contacts if c.kind is ContactKind.ADDRESS
            ],
            "contact": [
                {"relationship": [{"text": "监护人"}], "telecom": [phone]}
                for phone in _phones(patient, ContactKind.GUARDIAN_PHONE)
            ],
            "link": None
            if leads
            else [{"other": refer("Patient", patient.person), "type": "replaced-by"}],
        }
    )


def _phones(patient: Patient, kind: ContactKind) -> list[Json]:
    return [{"system": "phone", "value": c.value} for c in patient.contacts if c.kind is kind]


class SentName(Element, frozen=True):
    use: str = ""
    text: str = ""
    family: str = ""
    given: tuple[str, ...] = ()

    @property
    def whole(self) -> str:
        return self.text or self.family + "".join(self.given)


class SentPhone(Element, frozen=True):
    system: str = "phone"
    value: str = ""
    use: str = ""
    rank: int | None = None


class SentAddress(Element, frozen=True):
    use: str = ""
    text: str = ""


class SentContact(Element, frozen=True):
    relationship: tuple[Concept, ...] = ()
    telecom: tuple[SentPhone, ...] = ()


class SentLink(Element, frozen=True):
    other: Reference
    type: str


class SentPatient(Sent, frozen=True):
    identifier: tuple[Number, ...] = ()
    active: bool | None = None
    name: tuple[SentName, ...] = ()
    telecom: tuple[SentPhone, ...] = ()
    gender: str = ""
    birth_date: str = ""
    address: tuple[SentAddress, ...] = ()
    contact: tuple[SentContact, ...] = ()
    link: tuple[SentLink, ...] = ()

    @property
    def whole_name(self) -> str:
        if len(self.name) > 1:
            raise Unfit(422, "not-supported", "Patient.name", "one name is held")
        return self.name[0].whole if self.name else ""

    @property
    def sex(self) -> Sex:
        genders = {sex.value: sex for sex in Sex}
        return choose(self.gender or "unknown", genders, "Patient.gender")

    @property
    def born(self) -> date | None:
        return day_of(self.birth_date, "Patient.birthDate") if self.birth_date else None

    def numbers(self) -> tuple[tuple[Identifier, ...], dict[str, str]]:
        """The identifiers, and the campuses' own numbers by their system."""
        found, local = [], {}
        for number in self.identifier:
            own = SENT.get(number.system) or number.system.removeprefix(f"{system('')}")
            if not number.value or not own or (own == number.system and own not in SENT):
                raise Unfit(
                    422, "value", "Patient.identifier", "a system of this hospital is needed"
                )
            if own.startswith(local_system("")):
                local[own] = number.value
            else:
                found.append(Identifier(system=own, value=number.value))
        return tuple(found), local

    def contacts(self) -> tuple[Contact, ...]:
        found = [Contact(kind=ContactKind.PHONE, value=_phone(p)) for p in self.telecom]
        found += [Contact(kind=ContactKind.ADDRESS, value=a.text) for a in self.address if a.text]
        found += [
            Contact(kind=ContactKind.GUARDIAN_PHONE, value=_phone(p))
            for contact in self.contact
            for p in contact.telecom
        ]
        return tuple(found)


def _phone(phone: SentPhone) -> str:
    if phone.system != "phone" or not phone.value:
        raise Unfit(422, "not-supported", "Patient.telecom", "phone numbers are held, no others")
    return phone.value


async def read_patient(id_: str, patients: Patients) -> Json | None:
    own = uuid_of(id_)
    return patient_resource(await patients.get(PatientId(own))) if own else None


async def many_patients(ids: tuple[str, ...], patients: Patients) -> list[Json]:
    own = tuple(PatientId(i) for i in map(uuid_of, ids) if i is not None)
    found: list[Json] = []
    for start in range(0, len(own), READ_MAX):
        some = await patients.many(own[start : start + READ_MAX])
        found += [patient_resource(one) for one in some]
    return found


async def find_patients(query: Query, patients: Patients) -> Found:
    """Whoever fits the identifier, the phone and the name, as far as each is asked for."""
    fitting: list[dict[PatientId, None]] = []
    is_whole = True
    if "identifier" in query:
        fitting.append(await _by_identifier(query, patients))
    for name in ("phone", "name"):
        if name not in query:
            continue
        found: dict[PatientId, None] = {}
        for text in _few(query.one_of(name), name):
            some = await patients.find(text, FOUND_MAX)
            is_whole = is_whole and len(some) < FOUND_MAX
            found |= {one.id: None for one in some}
        fitting.append(found)
    chosen = [id_ for id_ in fitting[0] if all(id_ in other for other in fitting[1:])]
    return Found(await many_patients(tuple(map(str, chosen)), patients), is_whole)


async def _by_identifier(query: Query, patients: Patients) -> dict[PatientId, None]:
    found: dict[PatientId, None] = {}
    given = query.codes("identifier")
    for system_, value in _few(given, "identifier"):
        if system_ is None:
            found |= await _by_campus_number(value, patients)
        said = (
            SYSTEMS if system_ is None else (SENT.get(system_) or system_.removeprefix(system("")),)
        )
        for own in said:
            one = await patients.identify(own, value)
            found |= {one.id: None} if one is not None else {}
    return found


async def _by_campus_number(value: str, patients: Patients) -> dict[PatientId, None]:
    """Who has this number at any campus; names and phones, which ``find`` knows, do not count."""
    several = [await patients.get(one.id) for one in await patients.find(value, FOUND_MAX)]
    return {one.id: None for one in several if any(n.value == value for n in one.local_numbers)}


def _few(values: tuple[T, ...], name: str) -> tuple[T, ...]:
    if len(values) > ALTERNATIVES_MAX:
        raise Unfit(400, "too-costly", name, f"at most {ALTERNATIVES_MAX} alternatives")
    return values


async def register_patient(body: Json, ask: Ask, patients: Patients) -> Made:
    sent = take(body, SentPatient)
    numbers, local = sent.numbers()
    own = local_system(ask.campus)
    if set(local) - {own}:
        raise Unfit(422, "business-rule", "Patient.identifier", "a number of another campus")
    if sent.active is False or sent.link:
        raise Unfit(422, "business-rule", "Patient.active", "merging is not done by FHIR")
    registration = await patients.register(
        RegisterPatient(
            id=PatientId(ask.derive("patient")),
            campus=CampusCode(ask.campus),
            name=sent.whole_name,
            sex=sent.sex,
            birth_date=sent.born,
            identifiers=numbers,
            contacts=sent.contacts(),
            local_number=local.get(own, ""),
            source="fhir",
        )
    )
    is_new = registration.outcome is not MatchOutcome.LINKED
    return Made(patient_resource(registration.patient), is_new)


async def update_patient(before: Json, body: Json, ask: Ask, patients: Patients) -> Json:
    del ask
    sent, was = take(body, SentPatient), take(before, SentPatient)
    _check_nothing_lost(sent, was)
    numbers, known = sent.numbers()[0], was.numbers()[0]
    contacts = was.contacts()
    after = await patients.update(
        UpdatePatient(
            patient=PatientId(UUID(before["id"])),
            name=sent.whole_name if sent.whole_name != was.whole_name else None,
            sex=sent.sex if sent.sex != was.sex else None,
            birth_date=sent.born if sent.born != was.born else None,
            identifiers=tuple(n for n in numbers if n not in known),
            contacts=tuple(c for c in sent.contacts() if c not in contacts),
            source="fhir",
        )
    )
    return patient_resource(after)


def _check_nothing_lost(sent: SentPatient, was: SentPatient) -> None:
    """What the index was told stays; the client must not believe that it went."""
    lost = {
        "name": bool(was.whole_name and not sent.whole_name),
        "birthDate": bool(was.birth_date and not sent.birth_date),
        "identifier": not set(was.numbers()[0]) <= set(sent.numbers()[0])
        or was.numbers()[1] != sent.numbers()[1],
        "telecom": not set(was.contacts()) <= set(sent.contacts()),
        "active": sent.active not in (None, was.active),
        "link": sent.link != was.link,
    }
    for name, is_lost in lost.items():
        if is_lost:
            raise Unfit(
                422, "business-rule", f"Patient.{name}", "cannot be removed or changed by FHIR"
            )


# ── AllergyIntolerance ───────────────────────────────────────────────────────────────────────


def allergy_resource(allergy: Allergy) -> Json:
    clinical = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
    verified = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
    reaction = {
        "manifestation": [{"text": allergy.reaction or "未描述"}],
        "severity": SEVERITIES[allergy.severity],
    }
    return tidy(
        {
            "resourceType": "AllergyIntolerance",
            "id": pair(allergy.patient, allergy.id),
            "clinicalStatus": concept(clinical, "active"),
            "verificationStatus": concept(verified, "unconfirmed"),
            "code": {"text": allergy.substance},
            "patient": refer("Patient", allergy.patient),
            "recordedDate": stamp(allergy.recorded_at),
            "recorder": actor(allergy.recorded_by),
            "reaction": [reaction],
        }
    )


class SentReaction(Element, frozen=True):
    manifestation: tuple[Concept, ...]
    severity: str = "moderate"


class SentAllergy(Sent, frozen=True):
    clinical_status: Concept | None = None
    verification_status: Concept | None = None
    code: Concept | None = None
    patient: Reference | None = None
    reaction: tuple[SentReaction, ...] = ()


async def read_allergy(id_: str, patients: Patients) -> Json | None:
    ids = parted(id_)
    if ids is None:
        return None
    patient = await patients.get(PatientId(ids[0]))
    found = (a for a in patient.allergies if a.id == ids[1])
    return next(map(allergy_resource, found), None)


async def find_allergies(query: Query, patients: Patients) -> Found:
    found: dict[UUID, Allergy] = {}
    for id_ in query.ids("patient"):
        patient = await patients.get(PatientId(id_))
        found |= {allergy.id: allergy for allergy in patient.allergies}
    return Found([allergy_resource(allergy) for allergy in found.values()])


async def record_allergy(body: Json, ask: Ask, patients: Patients) -> Made:
    sent = take(body, SentAllergy)
    at = "AllergyIntolerance"
    patient = PatientId(target_of(sent.patient, "Patient", f"{at}.patient"))
    code = sent.code or Concept()
    substance = code.text or next((c.display or c.code for c in code.coding), "")
    if not substance:
        raise Unfit(422, "required", f"{at}.code", "the substance is needed")
    if len(sent.reaction) > 1:
        raise Unfit(422, "not-supported", f"{at}.reaction", "one reaction is held")
    for given, wanted, name in (
        (sent.clinical_status, "active", "clinicalStatus"),
        (sent.verification_status, "unconfirmed", "verificationStatus"),
    ):
        if given is not None and all(c.code != wanted for c in given.coding):
            raise Unfit(422, "not-supported", f"{at}.{name}", f"only {wanted} can be recorded")
    reaction = sent.reaction[0] if sent.reaction else SentReaction(manifestation=())
    severities = {fhir: own for own, fhir in SEVERITIES.items()}
    allergy = AllergyId(ask.derive("allergy"))
    after = await patients.record_allergy(
        RecordAllergy(
            id=allergy,
            patient=patient,
            substance=substance,
            reaction="；".join(m.text for m in reaction.manifestation if m.text),
            severity=choose(reaction.severity, severities, f"{at}.reaction.severity"),
            source=AllergySource.OUTSIDE,
        )
    )
    return Made(next(allergy_resource(a) for a in after.allergies if a.id == allergy))


# ── Coverage ─────────────────────────────────────────────────────────────────────────────────


def coverage_resource(patient: Patient) -> Json | None:
    """What the patient says of their insurance; simulated, no insurer was asked."""
    coverage = patient.coverage
    if coverage.kind not in PAYERS:
        return None
    act = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    coding = [
        {"system": act, "code": PAYERS[coverage.kind]},
        {"system": system("coverage-kind"), "code": coverage.kind.value},
    ]
    return tidy(
        {
            "resourceType": "Coverage",
            "id": str(patient.id),
            "status": "active",
            "type": {"coding": coding},
            "subscriberId": coverage.number,
            "beneficiary": refer("Patient", patient.id),
            "payor": [{"display": coverage.region or "医保经办机构（模拟）"}],
        }
    )


async def read_coverage(id_: str, patients: Patients) -> Json | None:
    own = uuid_of(id_)
    return coverage_resource(await patients.get(PatientId(own))) if own else None


async def find_coverages(query: Query, patients: Patients) -> Found:
    found = [
        coverage_resource(await patients.get(PatientId(own)))
        for id_ in query.ids("beneficiary", "patient")
        for own in await patients.person_of(PatientId(id_))
    ]
    return Found([one for one in found if one is not None])


resources = (
    Resource(
        type="Patient",
        read=read_patient,
        many=many_patients,
        search=find_patients,
        create=register_patient,
        update=update_patient,
        params={
            "identifier": token("identifier", is_kept=True),  # what is shown of it may be masked
            "name": string("name", is_kept=True),
            "phone": token("telecom", is_kept=True),
            "birthdate": moment("birthDate"),
            "gender": token("gender"),
            "active": token("active"),
        },
        starts=(("identifier",), ("name",), ("phone",)),
        conditional=("identifier",),
        note="A search by name or phone looks at 20 persons at most and says so; the name may be "
        "given by its pinyin. The same ID card is the same person: creating answers 200 then.",
    ),
    Resource(
        type="AllergyIntolerance",
        read=read_allergy,
        search=find_allergies,
        create=record_allergy,
        params={"patient": reference("patient", "Patient", is_kept=True)},
        starts=(("patient",),),
        note="What stands; a refuted entry is not shown. No entry does not mean no allergies.",
    ),
    Resource(
        type="Coverage",
        read=read_coverage,
        search=find_coverages,
        params={
            "beneficiary": reference("beneficiary", "Patient", is_kept=True),
            "patient": reference("beneficiary", "Patient", is_kept=True),
            "type": token("type"),
        },
        starts=(("beneficiary",), ("patient",)),
        note="As the patient stated it (simulated). Who pays in full has none.",
    ),
)

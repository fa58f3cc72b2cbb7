"""ADT 患者消息 from outside systems, and who a shared document says the patient is."""

from uuid import UUID

from plugward.kernel.documents import Person, PersonNumber, about_person
from plugward.kernel.interop import Received, Rejected, Why, inbound
from plugward.vocabulary import CampusCode, Identifier, PatientId, Sex

from .contract import (
    ID_CARD,
    INSURANCE_NO,
    PASSPORT,
    AllergyId,
    AllergySource,
    AlreadyMerged,
    BirthDateOffCard,
    Contact,
    ContactKind,
    DifferentIdCards,
    IdCardInvalid,
    IdentifierTaken,
    NameMissing,
    Patient,
    PatientNotFound,
    Patients,
    RecordAllergy,
    RegisterPatient,
    Severity,
    UpdatePatient,
    local_system,
)

SEX = {"M": Sex.MALE, "F": Sex.FEMALE, "O": Sex.OTHER, "A": Sex.OTHER, "U": Sex.UNKNOWN}
"""HL7 table 0001."""
IDENTIFIERS = {"NI": ID_CARD, "SI": INSURANCE_NO, "HC": INSURANCE_NO, "PPN": PASSPORT}
"""HL7 table 0203, PID-3.5 → our identifier systems. PI is the campus's own number."""
SEVERITY = {"SV": Severity.SEVERE, "MO": Severity.MODERATE, "MI": Severity.MILD}
"""HL7 table 0128."""

BLAME = {
    NameMissing: ("PID-5", Why.MISSING),
    IdCardInvalid: ("PID-3", Why.WRONG_TYPE),
    BirthDateOffCard: ("PID-7", Why.WRONG_TYPE),
    IdentifierTaken: ("PID-3", Why.DUPLICATE_KEY),
    PatientNotFound: ("PID-3", Why.UNKNOWN_KEY),
    DifferentIdCards: ("MRG-1", Why.DUPLICATE_KEY),
}


@inbound(
    "ADT^A04",
    "ADT^A28",
    permissions={"patients.read", "patients.register", "patients.update", "patients.allergy"},
    blame=BLAME,
)
async def register_person(message: Received, patients: Patients) -> None:
    """建档或挂号消息：已有本院区号码的更新，没有的建档。"""
    known = await _known(message, patients, "PID-3")
    if known is not None:
        patient = await patients.update(_update(message, known))
    else:
        patient = (await patients.register(_registration(message))).patient
    await _record_allergies(message, patients, patient)


@inbound(
    "ADT^A08",
    "ADT^A31",
    permissions={"patients.read", "patients.update", "patients.allergy"},
    blame=BLAME,
)
async def update_person(message: Received, patients: Patients) -> None:
    """基本信息更新：只补充和更正，不清空。"""
    patient = await patients.update(_update(message, await _one(message, patients, "PID-3")))
    await _record_allergies(message, patients, patient)


@inbound("ADT^A40", permissions={"patients.read", "patients.merge"}, blame=BLAME)
async def merge_persons(message: Received, patients: Patients) -> None:
    """合并：MRG-1 的档案并入 PID-3 的人；记录不改写，可拆分。"""
    survivor = await _one(message, patients, "PID-3")
    retired = await _one(message, patients, "MRG-1")
    try:
        await patients.merge(retired.id, survivor.id, f"ADT^A40 {message.sender}")
    except AlreadyMerged:
        return  # told before, under another control id


def number_place(message: Received, field: str) -> str:
    """Where the campus's own number stands among the repetitions: type PI, else the first."""
    for repetition in range(1, message.count(field) + 1):
        if message.text(f"{field}[{repetition}].5") == "PI":
            return f"{field}[{repetition}].1"
    return f"{field}[1].1"


async def _known(message: Received, patients: Patients, field: str) -> Patient | None:
    number = message.need(number_place(message, field), "缺少患者号")
    return await patients.identify(local_system(message.campus), number)


async def _one(message: Received, patients: Patients, field: str) -> Patient:
    found = await _known(message, patients, field)
    if found is None:
        raise Rejected(number_place(message, field), Why.UNKNOWN_KEY, "没有该号码的患者")
    return found


def _registration(message: Received) -> RegisterPatient:
    return RegisterPatient(
        id=PatientId(message.derive("patient")),
        campus=CampusCode(message.campus),
        name=_name(message),
        sex=message.choice("PID-8", SEX, Sex.UNKNOWN),
        birth_date=message.date("PID-7"),
        identifiers=_identifiers(message),
        contacts=_contacts(message),
        local_number=message.need(number_place(message, "PID-3")),
        source=message.sender,
    )


def _update(message: Received, known: Patient) -> UpdatePatient:
    sex = message.choice("PID-8", SEX, Sex.UNKNOWN)
    have = set(known.identifiers)
    return UpdatePatient(
        patient=known.id,
        name=_name(message),
        sex=None if sex is Sex.UNKNOWN else sex,
        birth_date=message.date("PID-7"),
        identifiers=tuple(one for one in _identifiers(message) if one not in have),
        contacts=tuple(one for one in _contacts(message) if one not in known.contacts),
        source=message.sender,
    )


def _name(message: Received) -> str:
    # Chinese senders put the whole name into the family component; others split it.
    return message.need("PID-5.1", "缺少患者姓名") + message.text("PID-5.2")


def _identifiers(message: Received) -> tuple[Identifier, ...]:
    found = []
    for repetition in range(1, message.count("PID-3") + 1):
        system = IDENTIFIERS.get(message.text(f"PID-3[{repetition}].5"))
        if system:
            found.append(Identifier(system=system, value=message.need(f"PID-3[{repetition}].1")))
    return tuple(found)


def _contacts(message: Received) -> tuple[Contact, ...]:
    found = []
    if phone := message.text("PID-13"):
        found.append(Contact(kind=ContactKind.PHONE, value=phone))
    address = "".join(message.text(f"PID-11.{part}") for part in (4, 3, 1))
    if address:
        found.append(Contact(kind=ContactKind.ADDRESS, value=address))
    return tuple(found)


async def _record_allergies(message: Received, patients: Patients, patient: Patient) -> None:
    have = {allergy.substance for allergy in patient.allergies}
    for number in range(1, message.count("AL1") + 1):
        place = f"AL1[{number}]"
        substance = message.text(f"{place}-3.2") or message.need(f"{place}-3.1", "缺少过敏原")
        if substance not in have:
            await patients.record_allergy(
                RecordAllergy(
                    id=AllergyId(message.derive("allergy", number)),
                    patient=patient.id,
                    substance=substance,
                    reaction=message.whole(f"{place}-5"),
                    severity=message.choice(f"{place}-4", SEVERITY, Severity.MODERATE),
                    source=AllergySource.OUTSIDE,
                )
            )


@about_person
async def person_of_document(patient: UUID, patients: Patients) -> Person:
    """共享文档中的患者。"""
    found = await patients.get(PatientId(patient))
    numbers = [(PersonNumber.LOCAL, local.value) for local in found.local_numbers]
    if card := found.identifier(ID_CARD):
        numbers.insert(0, (PersonNumber.ID_CARD, card))
    return Person(
        name=found.name,
        sex=found.sex,
        birth_date=found.birth_date,
        numbers=tuple(numbers),
        phone=found.phone,
    )

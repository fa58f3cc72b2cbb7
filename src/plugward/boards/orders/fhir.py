"""FHIR: order lines as ServiceRequest and MedicationRequest.

A create signs a group of one line; an update can only take a line back.
"""

from decimal import Decimal
from uuid import UUID

from plugward.boards.encounters.contract import Encounters
from plugward.boards.patients.contract import Patients
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
    code_of,
    concept,
    moment,
    number,
    refer,
    reference,
    stamp,
    system,
    take,
    target_of,
    tidy,
    token,
    uuid_of,
)
from plugward.vocabulary import EncounterId, OrderGroupId, OrderKind, OrderLineId, PatientId

from .contract import (
    LineState,
    NewLine,
    OrderGroup,
    OrderLine,
    Orders,
    SignGroup,
    WithdrawReason,
)

ITEM, GROUP, KIND = system("item"), system("order-group"), system("order-kind")
ROUTE, FREQUENCY = system("route"), system("frequency")
UCUM = "http://unitsofmeasure.org"
SERVICE_STATES = {
    LineState.SIGNED: "active",
    LineState.PAID: "active",
    LineState.PERFORMED: "active",
    LineState.DISPENSED: "completed",
    LineState.REPORTED: "completed",
    LineState.RETURNED: "revoked",
    LineState.UNSUPPLIED: "revoked",
    LineState.WITHDRAWN: "revoked",
}
DRUG_STATES = {
    LineState.SIGNED: "active",
    LineState.PAID: "active",
    LineState.PERFORMED: "active",
    LineState.DISPENSED: "completed",
    LineState.REPORTED: "completed",
    LineState.RETURNED: "stopped",
    LineState.UNSUPPLIED: "stopped",
    LineState.WITHDRAWN: "cancelled",
}
SERVICES = {kind.value: kind for kind in OrderKind if kind is not OrderKind.DRUG}
PRIORITIES = {"routine": False, "urgent": True}
GROUPS_MAX = 100


def line_resource(line: OrderLine, group: OrderGroup) -> Json:
    is_drug = line.kind is OrderKind.DRUG
    code = concept(ITEM, line.item, line.name_zh, line.name_zh)
    shared: Json = {
        "id": str(line.id),
        "intent": "order",
        "priority": "urgent" if line.is_urgent else "routine",
        "subject": refer("Patient", line.patient),
        "encounter": refer("Encounter", line.encounter),
        "authoredOn": stamp(group.signed_at),
        "requester": actor(group.author),
        "reasonCode": [{"text": group.indication}] if group.indication else None,
        "note": [{"text": line.note}] if line.note else None,
    }
    if is_drug:
        return tidy(shared | _drug(line, code))
    return tidy(
        shared
        | {
            "resourceType": "ServiceRequest",
            "status": SERVICE_STATES[line.state],
            "requisition": {"system": GROUP, "value": str(line.group)},
            "category": [concept(KIND, line.kind.value)],
            "code": code,
            "quantityQuantity": {"value": line.quantity, "unit": line.unit},
        }
    )


def _drug(line: OrderLine, code: Json) -> Json:
    days = {"value": line.days, "unit": "d", "system": UCUM, "code": "d"} if line.days else None
    dose = {"value": number(line.dose), "unit": line.dose_unit} if line.dose else None
    return {
        "resourceType": "MedicationRequest",
        "status": DRUG_STATES[line.state],
        "groupIdentifier": {"system": GROUP, "value": str(line.group)},
        "medicationCodeableConcept": code,
        "dosageInstruction": [
            {
                "timing": {"code": concept(FREQUENCY, line.frequency)} if line.frequency else None,
                "route": concept(ROUTE, line.route) if line.route else None,
                "doseAndRate": [{"doseQuantity": dose}] if dose else None,
            }
        ]
        if dose or line.frequency or line.route
        else None,
        "dispenseRequest": {
            "quantity": {"value": line.quantity, "unit": line.unit},
            "expectedSupplyDuration": days,
        },
    }


# ── reading ──────────────────────────────────────────────────────────────────────────────────


async def _read(id_: str, orders: Orders, *, drugs: bool) -> Json | None:
    own = uuid_of(id_)
    if own is None:
        return None
    line = await orders.line(OrderLineId(own))
    if (line.kind is OrderKind.DRUG) is not drugs:
        return None
    return line_resource(line, await orders.group(line.group))


async def _find(query: Query, orders: Orders, patients: Patients, *, drugs: bool) -> Found:
    groups: dict[OrderGroupId, OrderGroup] = {}
    is_whole = True
    for encounter in query.ids("encounter"):
        of_visit = await orders.for_encounter(EncounterId(encounter))
        is_whole = is_whole and len(of_visit) < GROUPS_MAX
        groups |= {group.id: group for group in of_visit}
    if "encounter" not in query:
        persons = [
            own
            for id_ in query.ids("patient", "subject")
            for own in await patients.person_of(PatientId(id_))
        ]
        if persons:
            of_person = await orders.for_patient(tuple(dict.fromkeys(persons)), GROUPS_MAX)
            is_whole = len(of_person) < GROUPS_MAX
            groups |= {group.id: group for group in of_person}
    lines = [
        line_resource(line, group)
        for group in groups.values()
        for line in group.lines
        if (line.kind is OrderKind.DRUG) is drugs
    ]
    if "encounter" in query and ("patient" in query or "subject" in query):
        lines = await _of_person(lines, query, patients)
    return Found(lines, is_whole)


async def _of_person(lines: list[Json], query: Query, patients: Patients) -> list[Json]:
    wanted = {
        f"Patient/{own}"
        for id_ in query.ids("patient", "subject")
        for own in await patients.person_of(PatientId(id_))
    }
    return [line for line in lines if line["subject"]["reference"] in wanted]


async def read_service(id_: str, orders: Orders) -> Json | None:
    return await _read(id_, orders, drugs=False)


async def read_medication(id_: str, orders: Orders) -> Json | None:
    return await _read(id_, orders, drugs=True)


async def find_services(query: Query, orders: Orders, patients: Patients) -> Found:
    return await _find(query, orders, patients, drugs=False)


async def find_medications(query: Query, orders: Orders, patients: Patients) -> Found:
    return await _find(query, orders, patients, drugs=True)


# ── writing ──────────────────────────────────────────────────────────────────────────────────


class SentQuantity(Element, frozen=True):
    value: Decimal
    unit: str = ""
    system: str = ""
    code: str = ""


class SentNote(Element, frozen=True):
    text: str


class SentTiming(Element, frozen=True):
    code: Concept


class SentRate(Element, frozen=True):
    dose_quantity: SentQuantity


class SentDosage(Element, frozen=True):
    timing: SentTiming
    route: Concept
    dose_and_rate: tuple[SentRate, ...]


class SentSupply(Element, frozen=True):
    quantity: SentQuantity
    expected_supply_duration: SentQuantity | None = None


class SentOrder(Sent, frozen=True):
    status: str = ""
    intent: str = ""
    priority: str = "routine"
    subject: Reference | None = None
    encounter: Reference | None = None
    authored_on: str = ""
    requester: Reference | None = None
    reason_code: tuple[Concept, ...] = ()
    note: tuple[SentNote, ...] = ()


class SentService(SentOrder, frozen=True):
    requisition: Number | None = None
    category: tuple[Concept, ...] = ()
    code: Concept | None = None
    quantity_quantity: SentQuantity | None = None


class SentMedication(SentOrder, frozen=True):
    group_identifier: Number | None = None
    medication_codeable_concept: Concept | None = None
    dosage_instruction: tuple[SentDosage, ...] = ()
    dispense_request: SentSupply | None = None


async def sign_service(body: Json, ask: Ask, orders: Orders, encounters: Encounters) -> Made:
    sent = take(body, SentService)
    at = "ServiceRequest"
    if sent.requisition is not None:
        raise Unfit(422, "not-supported", f"{at}.requisition", "the hospital numbers its groups")
    category = sent.category[0] if sent.category else None
    line = NewLine(
        id=OrderLineId(ask.derive("line")),
        kind=choose(code_of(category, KIND, f"{at}.category"), SERVICES, f"{at}.category"),
        item=code_of(sent.code, ITEM, f"{at}.code"),
        quantity=_whole(sent.quantity_quantity, f"{at}.quantityQuantity"),
        is_urgent=choose(sent.priority, PRIORITIES, f"{at}.priority"),
        note="\n".join(note.text for note in sent.note),
    )
    return await _sign(sent, line, ask, orders, encounters)


async def sign_medication(body: Json, ask: Ask, orders: Orders, encounters: Encounters) -> Made:
    sent = take(body, SentMedication)
    at = "MedicationRequest"
    if sent.group_identifier is not None:
        raise Unfit(422, "not-supported", f"{at}.groupIdentifier", "the hospital numbers it")
    if len(sent.dosage_instruction) != 1 or len(sent.dosage_instruction[0].dose_and_rate) != 1:
        raise Unfit(422, "required", f"{at}.dosageInstruction", "one instruction, one dose")
    dosage, supply = sent.dosage_instruction[0], sent.dispense_request
    if supply is None:
        raise Unfit(422, "required", f"{at}.dispenseRequest", "the quantity is needed")
    dose = dosage.dose_and_rate[0].dose_quantity
    days = supply.expected_supply_duration
    if days is not None and days.code != "d":
        raise Unfit(422, "value", f"{at}.dispenseRequest.expectedSupplyDuration", "days (d) only")
    line = NewLine(
        id=OrderLineId(ask.derive("line")),
        kind=OrderKind.DRUG,
        item=code_of(sent.medication_codeable_concept, ITEM, f"{at}.medicationCodeableConcept"),
        quantity=_whole(supply.quantity, f"{at}.dispenseRequest.quantity"),
        dose=dose.value,
        dose_unit=dose.unit,
        route=code_of(dosage.route, ROUTE, f"{at}.dosageInstruction.route"),
        frequency=code_of(dosage.timing.code, FREQUENCY, f"{at}.dosageInstruction.timing"),
        days=_whole(days, f"{at}.dispenseRequest.expectedSupplyDuration") if days else None,
        is_urgent=choose(sent.priority, PRIORITIES, f"{at}.priority"),
        note="\n".join(note.text for note in sent.note),
    )
    return await _sign(sent, line, ask, orders, encounters)


def _whole(quantity: SentQuantity | None, at: str) -> int:
    if quantity is None:
        return 1
    if quantity.value != quantity.value.to_integral_value():
        raise Unfit(422, "value", at, "a whole number is needed")
    return int(quantity.value)


async def _sign(
    sent: SentOrder, line: NewLine, ask: Ask, orders: Orders, encounters: Encounters
) -> Made:
    at = sent.resource_type
    if sent.status != "active" or sent.intent != "order":
        raise Unfit(422, "business-rule", f"{at}.status", "only active orders are signed")
    if sent.authored_on or sent.requester:
        raise Unfit(422, "business-rule", f"{at}.requester", "who signs is who is signed in, now")
    patient = PatientId(target_of(sent.subject, "Patient", f"{at}.subject"))
    visit = await encounters.get(
        EncounterId(target_of(sent.encounter, "Encounter", f"{at}.encounter"))
    )
    group = await orders.sign(
        SignGroup(
            id=OrderGroupId(ask.derive("group")),
            encounter=visit.id,
            patient=patient,
            campus=visit.campus,
            department=visit.department,
            lines=(line,),
            indication="；".join(reason.text for reason in sent.reason_code if reason.text),
        )
    )
    return Made(line_resource(group.lines[0], group))


async def withdraw_line(before: Json, body: Json, ask: Ask, orders: Orders) -> Json:
    """Only the status may differ, and only to say that the line is taken back."""
    del ask
    at = before["resourceType"]
    kept = ("meta", "text", "language", "status")
    if {k: v for k, v in body.items() if k not in kept} != {
        k: v for k, v in before.items() if k not in kept
    }:
        raise Unfit(422, "business-rule", at, "a signed order does not change; only its status")
    if body.get("status") == before["status"]:
        return before
    back = "cancelled" if at == "MedicationRequest" else "revoked"
    if body.get("status") != back:
        raise Unfit(422, "business-rule", f"{at}.status", f"can only become {back}")
    line = await orders.withdraw(OrderLineId(UUID(before["id"])), WithdrawReason.CONDITION_CHANGED)
    return line_resource(line, await orders.group(line.group))


_PARAMS = {
    "patient": reference("subject", "Patient", is_kept=True),
    "subject": reference("subject", "Patient", is_kept=True),
    "encounter": reference("encounter", "Encounter"),
    "status": token("status"),
    "intent": token("intent"),
    "priority": token("priority"),
    "requester": reference("requester", "Practitioner"),
}
_STARTS = (("patient",), ("subject",), ("encounter",))

resources = (
    Resource(
        type="ServiceRequest",
        read=read_service,
        search=find_services,
        create=sign_service,
        update=withdraw_line,
        params=_PARAMS
        | {
            "authored": moment("authoredOn"),
            "category": token("category"),
            "code": token("code"),
            "requisition": token("requisition"),
        },
        starts=_STARTS,
        note="A signed order line for a test, an examination or a treatment. An update takes it "
        "back (status revoked).",
    ),
    Resource(
        type="MedicationRequest",
        read=read_medication,
        search=find_medications,
        create=sign_medication,
        update=withdraw_line,
        params=_PARAMS
        | {
            "authoredon": moment("authoredOn"),
            "code": token("medicationCodeableConcept"),
            "group-identifier": token("groupIdentifier"),
        },
        starts=_STARTS,
        note="A signed drug line; groupIdentifier is the prescription. An update takes it back "
        "(status cancelled).",
    ),
)

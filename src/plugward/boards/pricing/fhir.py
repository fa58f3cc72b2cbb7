"""FHIR: a priced fact as ChargeItem. Whether it was paid is billing's and stands elsewhere."""

from decimal import Decimal

from plugward.boards.encounters.contract import Encounter, Encounters
from plugward.kernel.fhir import (
    Found,
    Json,
    Query,
    Resource,
    concept,
    moment,
    number,
    refer,
    reference,
    stamp,
    system,
    tidy,
    token,
    uuid_of,
)
from plugward.vocabulary import ChargeId, EncounterId

from .contract import Charge, ChargeState, Pricing

STATES = {ChargeState.PENDING: "billable", ChargeState.CANCELLED: "aborted"}
CHARGES_MAX = 500


def charge_resource(charge: Charge, encounter: Encounter) -> Json:
    amount = Decimal(charge.amount.fen) / 100
    return tidy(
        {
            "resourceType": "ChargeItem",
            "id": str(charge.id),
            "status": STATES[charge.state],
            "code": concept(system("item"), charge.item, charge.name_zh, charge.name_zh),
            "subject": refer("Patient", encounter.patient),
            "context": refer("Encounter", charge.encounter),
            "occurrenceDateTime": stamp(charge.performed_at),
            "quantity": {"value": number(charge.quantity), "unit": charge.unit},
            "priceOverride": {"value": number(amount), "currency": "CNY"},
            "enteredDate": stamp(charge.priced_at),
        }
    )


async def read_charge(id_: str, pricing: Pricing, encounters: Encounters) -> Json | None:
    own = uuid_of(id_)
    if own is None:
        return None
    charge = await pricing.charge(ChargeId(own))
    return charge_resource(charge, await encounters.get(charge.encounter))


async def find_charges(query: Query, pricing: Pricing, encounters: Encounters) -> Found:
    found: list[Json] = []
    is_whole = True
    for id_ in query.ids("context"):
        charges = await pricing.for_encounter(EncounterId(id_))
        if charges:
            encounter = await encounters.get(EncounterId(id_))
            found += [charge_resource(charge, encounter) for charge in charges]
        is_whole = is_whole and len(charges) < CHARGES_MAX
    return Found(found, is_whole)


resources = (
    Resource(
        type="ChargeItem",
        read=read_charge,
        search=find_charges,
        params={
            "context": reference("context", "Encounter"),
            "subject": reference("subject", "Patient"),
            "patient": reference("subject", "Patient"),
            "code": token("code"),
            "occurrence": moment("occurrenceDateTime"),
            "entered-date": moment("enteredDate"),
        },
        starts=(("context",),),
        note="priceOverride is the whole amount; the price of one is priceOverride / quantity.",
    ),
)

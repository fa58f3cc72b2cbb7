"""FHIR: colleagues as Practitioner, with what a signature shows of them."""

from plugward.kernel.fhir import Json, Resource, system, tidy, uuid_of
from plugward.vocabulary import StaffId

from .contract import Identity, StaffMember


def practitioner_resource(member: StaffMember) -> Json:
    return tidy(
        {
            "resourceType": "Practitioner",
            "id": str(member.id),
            "identifier": [{"system": system("staff-no"), "value": member.staff_no}],
            "name": [{"text": member.name}],
            "qualification": [{"code": {"text": member.title}}] if member.title else None,
        }
    )


async def read_practitioner(id_: str, identity: Identity) -> Json | None:
    found = await many_practitioners((id_,), identity)
    return found[0] if found else None


async def many_practitioners(ids: tuple[str, ...], identity: Identity) -> list[Json]:
    own = tuple(StaffId(i) for i in map(uuid_of, ids) if i is not None)
    return [practitioner_resource(one) for one in await identity.staff(own)] if own else []


resources = (
    Resource(
        type="Practitioner",
        read=read_practitioner,
        many=many_practitioners,
        note="Found by reference only; who works here is not listed.",
    ),
)

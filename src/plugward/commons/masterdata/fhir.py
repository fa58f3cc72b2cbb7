"""FHIR: departments as Organization, campuses as Location, as the catalogue has them now."""

from plugward.kernel.fhir import (
    Found,
    Json,
    Query,
    Resource,
    concept,
    string,
    system,
    tidy,
    token,
)

from .contract import Domain, Entry, MasterData

PAGE = 1_000
SOUGHT_MAX = 50


def organization_resource(entry: Entry) -> Json:
    kind = entry.attribute("dept_type")
    return tidy(
        {
            "resourceType": "Organization",
            "id": entry.code,
            "identifier": [{"system": system("department"), "value": entry.code}],
            "active": True,
            "type": [concept(system("department-type"), kind)] if kind else None,
            "name": entry.name_zh,
            "alias": [entry.name_en] if entry.name_en else None,
        }
    )


def location_resource(entry: Entry) -> Json:
    return tidy(
        {
            "resourceType": "Location",
            "id": entry.code,
            "identifier": [{"system": system("campus"), "value": entry.code}],
            "status": "active",
            "name": entry.name_zh,
            "alias": [entry.name_en] if entry.name_en else None,
            "mode": "instance",
        }
    )


async def _one(domain: Domain, code: str, masterdata: MasterData) -> Entry | None:
    found = await masterdata.search(domain, code, SOUGHT_MAX) if code else ()
    return next((entry for entry in found if entry.code == code), None)


async def _all(domain: Domain, masterdata: MasterData) -> list[Entry]:
    found: list[Entry] = []
    while True:
        page = await masterdata.in_force(domain, found[-1].code if found else "", PAGE)
        found += page
        if len(page) < PAGE:
            return found


async def read_organization(id_: str, masterdata: MasterData) -> Json | None:
    entry = await _one(Domain.DEPARTMENT, id_, masterdata)
    return organization_resource(entry) if entry else None


async def find_organizations(query: Query, masterdata: MasterData) -> Found:
    del query
    return Found([organization_resource(e) for e in await _all(Domain.DEPARTMENT, masterdata)])


async def read_location(id_: str, masterdata: MasterData) -> Json | None:
    entry = await _one(Domain.CAMPUS, id_, masterdata)
    return location_resource(entry) if entry else None


async def find_locations(query: Query, masterdata: MasterData) -> Found:
    del query
    return Found([location_resource(e) for e in await _all(Domain.CAMPUS, masterdata)])


resources = (
    Resource(
        type="Organization",
        read=read_organization,
        search=find_organizations,
        params={
            "identifier": token("identifier"),
            "name": string("name|alias"),
            "type": token("type"),
            "active": token("active"),
        },
        starts=((),),
        note="The departments in force.",
    ),
    Resource(
        type="Location",
        read=read_location,
        search=find_locations,
        params={
            "identifier": token("identifier"),
            "name": string("name|alias"),
            "status": token("status"),
        },
        starts=((),),
        note="The campuses in force.",
    ),
)

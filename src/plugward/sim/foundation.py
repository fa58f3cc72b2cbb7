"""Foundation 开院准备: catalogues, stores and stock, so that patients can come."""

from datetime import date

from plugward.boards.drug_store.contract import DrugStore
from plugward.commons.masterdata.contract import Domain, MasterData
from plugward.commons.masterdata.seed import drafts, sow
from plugward.kernel.envelope import ALL_CAMPUSES, Actor, ActorKind, acting_as
from plugward.kernel.runtime import Runtime
from plugward.kit.time import hospital_date
from plugward.vocabulary import CampusCode

from .cast import Cast, Ids
from .stock import open_stores, receipts

CAMPUSES = {"C1": "主院区", "C2": "东院区", "C3": "西院区"}


def planner(cast: Cast) -> Actor:
    """Who prepares a hospital: steward, registrar and pharmacist in one, at every campus."""
    roles = ("steward", "registrar", "pharmacist", "manager", "administrator")
    return Actor(
        id="system:preparation",
        kind=ActorKind.SYSTEM,
        permissions=frozenset().union(*(cast.permissions(role) for role in roles)),
        campuses=ALL_CAMPUSES,
        roles=roles,
    )


async def lay_foundation(runtime: Runtime, cast: Cast, ids: Ids, *, packs: int) -> None:
    """Publish the catalogues and fill the pharmacies. Done again it changes nothing."""
    actor = planner(cast)
    with acting_as(actor, request=ids.new()):
        await sow(runtime.client(MasterData))
    await runtime.quiet(patience_s=120)
    today = hospital_date(runtime.clock.now())
    for campus in CAMPUSES:
        await stock_campus(runtime, actor, CampusCode(campus), today, packs)


async def stock_campus(
    runtime: Runtime, actor: Actor, campus: CampusCode, today: date, packs: int
) -> None:
    """Open a campus's stores with a stock of every drug, unless it has one."""
    drug_store = runtime.client(DrugStore)
    with acting_as(actor):
        store = await open_stores(drug_store, campus, CAMPUSES[campus])
        there = await drug_store.batches(store)
    if there:
        return
    items = tuple(draft.code for draft in drafts(Domain.DRUG))
    for receipt in receipts(store, items, today, packs):
        with acting_as(actor):
            await drug_store.receive(receipt)

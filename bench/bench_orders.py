"""How many groups of five drugs doctors can sign in a second, durably, on one SQLite file.

Run: python bench/bench_orders.py
"""

import asyncio
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from plugward.boards.orders.board import board
from plugward.boards.orders.contract import NewLine, Orders, SignGroup
from plugward.commons.masterdata.board import board as masterdata
from plugward.commons.masterdata.contract import Domain, Draft, MasterData
from plugward.commons.masterdata.seed import drafts, sow
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.clock import SystemClock
from plugward.kernel.envelope import acting_as
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    EncounterId,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    PatientId,
)

GROUPS, AT_ONCE, LINES = 2_000, 16, 5


def group(drugs: tuple[Draft, ...]) -> SignGroup:
    """Five drugs of the demonstration catalogue, each as it is usually taken."""
    lines = []
    for draft in drugs:
        usual = {attribute.name: attribute.value for attribute in draft.attributes}
        lines.append(
            NewLine(
                id=OrderLineId(new_id()),
                kind=OrderKind.DRUG,
                item=draft.code,
                dose=Decimal(usual["usual_single_dose"]),
                dose_unit=usual["dose_unit"],
                route=usual["route_code"],
                frequency=usual["usual_freq"],
                days=7,
            )
        )
    return SignGroup(
        id=OrderGroupId(new_id()),
        encounter=EncounterId(new_id()),
        patient=PatientId(new_id()),
        campus=CampusCode("C1"),
        department=DepartmentCode("C1-CARD"),
        lines=tuple(lines),
    )


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = SystemClock()
        audit = AuditLog(Path(folder) / "audit.db", clock)
        runtime = Runtime(Databases(Path(folder)), clock, audit)
        # The encounters board is away on purpose: signing goes on, and only signing is measured.
        await runtime.start([masterdata, board])
        with acting_as(a_tester()):
            await sow(runtime.client(MasterData))
        await runtime.quiet()
        drugs = drafts(Domain.DRUG)[:LINES]
        orders, waiting = runtime.client(Orders), [group(drugs) for _ in range(GROUPS)]
        took: list[float] = []

        async def doctor() -> None:
            while waiting:
                request, began = waiting.pop(), time.perf_counter()
                with acting_as(a_tester()):
                    await orders.sign(request)
                took.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(doctor() for _ in range(AT_ONCE)))
        seconds = time.perf_counter() - began
        took.sort()
        print(f"signed groups of {LINES} lines, {AT_ONCE} at once: {GROUPS / seconds:7.0f} /s")
        print(f"95 % within: {took[int(len(took) * 0.95)] * 1_000:7.1f} ms")
        await runtime.stop()


if __name__ == "__main__":
    asyncio.run(main())

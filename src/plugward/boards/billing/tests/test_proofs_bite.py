"""The proofs find what nobody may do: rows that were changed behind billing's back."""

from typing import Any

import pytest
from sqlalchemy import Table, update

from plugward.boards.billing.contract import Channel, LegState, LineState
from plugward.boards.billing.tables import bills, history, legs, lines, receipts
from plugward.kernel.testing import TRANSPORTS, Bench

from .desk import Account, desk_bench


@pytest.fixture
async def bench() -> Bench:
    bench = desk_bench(TRANSPORTS[0])
    zhou = await Account(bench).price("exam", 10_033, fund=33)
    bill = await zhou.settled(channel=Channel.PHONE)
    await zhou.refund(bill, exam=1)
    lab = await Account(bench).price("lab", 500)
    await lab.settled()
    await bench.prove()
    return bench


@pytest.mark.parametrize(
    ("proof", "table", "values"),
    [
        ("M1", legs, {"amount": 1}),
        ("M1", bills, {"rounding": 7}),
        ("M1", lines, {"amount": 1}),
        ("M2", legs, {"state": LegState.UNKNOWN}),
        ("M3", legs, {"refundable": 99}),
        ("M3", lines, {"refunded": 2}),
        ("M4", lines, {"state": LineState.PENDING}),
        ("M4", history, {"amount": 1}),
        ("M4", history, {"number": history.c.number + 10}),
        ("M5", receipts, {"number": receipts.c.number + 10}),
    ],
)
async def test_a_changed_row_is_found(
    bench: Bench, proof: str, table: Table, values: dict[str, Any]
) -> None:
    await bench.service.store.engine.system(lambda c: c.execute(update(table).values(values)))
    breached = {found.id for found in await bench.runtime.prove() if found.finding.breaches}
    assert proof in breached

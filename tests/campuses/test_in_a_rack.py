"""The same binding where every board is a process: rack.toml, rights on NATS, facts on the bus.

机架：每块插板一个进程；C2 的检验由适配插板的进程应答，谁也不知道换了人。
"""

import asyncio
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from plugward.kit.ids import new_id
from plugward.rack.discover import board_entries
from plugward.rack.supervisor.plan import PlanError, parse_plan

from ..rack.running import rack_up

EXAMPLE = Path(__file__).parents[2] / "examples" / "lab_hl7" / "src"
SMALL = {"identity", "masterdata", "portal", "patients", "encounters", "orders", "lab"}
DOCTOR = "D10247"


def installed(folder: Path) -> str:
    """The example as if it were installed beside Plugward: its package and its entry point."""
    info = folder / "site" / "plugward_lab_hl7-1.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: plugward-lab-hl7\nVersion: 1.0.0\n"
    )
    (info / "entry_points.txt").write_text(
        "[plugward.boards]\nlab_hl7 = plugward_lab_hl7.board:board\n"
    )
    return os.pathsep.join((str(folder / "site"), str(EXAMPLE), os.environ.get("PYTHONPATH", "")))


def plan(folder: Path, bound: str = "lab_hl7") -> str:
    out = "".join(f"[boards.{b}]\nplugged = false\n" for b in sorted(set(board_entries()) - SMALL))
    file = folder / "rack.toml"
    file.write_text(f'[rack]\nmllp_port = 0\n{out}[campus.C1]\nlab = "{bound}"\n')
    return str(file)


def rows(folder: Path, board: str) -> int:
    """How many requests stand in a board's own file."""
    with closing(sqlite3.connect(folder / "hospital" / "boards" / f"{board}.sqlite")) as file:
        return int(file.execute(f"SELECT count(*) FROM {board}_request").fetchone()[0])  # noqa: S608 - our own names


class Doctor:
    """Somebody who works over HTTP, as the browser and other programs do."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, operation: str, **body: Any) -> tuple[int, Any]:
        board, _, name = operation.partition(".")
        async with self._session.post(f"/api/{board}/v1/{name}", json=body) as answer:
            return answer.status, json.loads(await answer.text() or "null")

    async def do(self, operation: str, **body: Any) -> Any:
        status, answer = await self.ask(operation, **body)
        assert status == 200, (operation, status, answer)
        return answer

    async def sign_a_test(self) -> str:
        """A patient, a visit, an urgent test; the visit's id."""
        patient, visit = str(new_id()), str(new_id())
        here = {"campus": "C1", "department": "C1-CARD"}
        await self.do(
            "patients.register", request={"id": patient, "campus": "C1", "name": "沈玉兰"}
        )
        opened = {"id": visit, "patient": patient, "patient_name": "沈玉兰", **here}
        await self.do("encounters.open", request=opened)
        line = {"id": str(new_id()), "kind": "lab", "item": "L0026", "is_urgent": True}
        group = {"id": str(new_id()), "encounter": visit, "patient": patient, "lines": [line]}
        async with asyncio.timeout(20):  # orders hears of the visit and of the catalogue by the bus
            while (await self.ask("orders.sign", request={**group, **here}))[0] != 200:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.1)
        return visit


@pytest.mark.full
@pytest.mark.timeout(180)
async def test_a_bound_campus_is_answered_by_the_adapters_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", installed(tmp_path))
    with rack_up(tmp_path / "hospital", plan(tmp_path), "--demo", seconds=120) as rack:
        status = rack.status()
        assert set(status) == SMALL | {"lab_hl7"}
        assert all(board.healthy for board in status.values()), status
        headers = {"authorization": f"Bearer {rack.browser(DOCTOR, '/').token}"}
        async with aiohttp.ClientSession(rack.url, headers=headers) as session:
            doctor = Doctor(session)
            visit = await doctor.sign_a_test()
            asked: list[Any] = []
            async with asyncio.timeout(20):
                while not asked:
                    asked = await doctor.do("lab.requests_of", encounter=visit)
                    await asyncio.sleep(0.1)
            assert [(r["encounter"], r["item"]) for r in asked] == [(visit, "L0026")]
            unknown = await doctor.ask("lab.report", id=str(new_id()))  # both were asked
            assert (unknown[0], unknown[1]["code"]) == (404, "lab.ReportNotFound")
            [credited] = await doctor.do("lab.credit", encounter=visit, reason="胸痛")
            assert credited["is_credited"]
    # Our own laboratory's process has heard the same fact and left it alone.
    assert [rows(tmp_path, board) for board in ("lab", "lab_hl7")] == [0, 1]


def test_a_binding_that_cannot_work_is_told_with_its_line() -> None:
    with pytest.raises(PlanError) as told:
        parse_plan('[rack]\n[campus.C2]\nlab = "nobody"\n[campus]\nC3 = 1\n', {"lab", "lab_hl7"})
    assert [problem.split(" ")[0] for problem in told.value.problems] == [
        "rack.toml:3:",
        "rack.toml:5:",
    ]
    found = parse_plan('[campus.C2]\nlab = "lab_hl7"\n', {"lab", "lab_hl7"})
    assert found.campus == {"C2": {"lab": "lab_hl7"}}

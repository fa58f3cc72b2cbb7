"""F02–F04 with a board of another distribution: plugged in by path into a rack that works.

膳食插板按路径装进正在接诊的机架：不重启任何插板，挂号不失败；坏版本上不来，旧版本照常。
"""

import asyncio
from datetime import date
from pathlib import Path

import pytest

from plugward.kit.ids import new_id
from plugward.rack.control.client import tell
from plugward.rack.control.words import ActRefused, BoardStatus

from .outside import MEALS, Place, Version, open_rack

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]
PAGE = f"/meals/wards/{new_id()}?day={date.today()}"  # noqa: DTZ011 - any day will do
VISIBLE_S = 5.0


async def act(place: Place, verb: str, board: object) -> list[str]:
    said: list[str] = []
    answer = await asyncio.to_thread(tell, place.data, verb, str(board), say=said.append)
    return [*said, answer.done]


async def status(place: Place) -> dict[str, BoardStatus]:
    return await asyncio.to_thread(place.rack.status)


async def shown(place: Place, wanted: int) -> None:
    """The page is there, or gone, at the latest five seconds after the answer."""
    async with asyncio.timeout(VISIBLE_S):
        while (await place.page(PAGE))[0] != wanted:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)


async def test_meals_come_go_and_change_while_eight_clerks_work(tmp_path: Path) -> None:
    async with open_rack(tmp_path) as place:
        before = {name: board.pids for name, board in (await status(place)).items()}
        desk = place.front_desk()
        work = asyncio.create_task(desk.work())
        await desk.after(10)

        said = await act(place, "plug", MEALS)
        assert said[-1] == "meals 1.0.0 is plugged in."
        await shown(place, 200)
        assert (await status(place))["meals"].healthy
        await desk.after(10)

        await a_version_that_does_not_start_changes_nothing(place, tmp_path)
        await a_migration_that_fails_changes_nothing(place, tmp_path)
        await a_broken_promise_is_refused(place, tmp_path)
        await desk.after(10)
        await the_next_minor_version_serves_and_the_one_before_comes_back(place, tmp_path)
        await desk.after(10)

        await act(place, "unplug", "meals")
        await shown(place, 404)
        await act(place, "plug", "meals")
        await shown(place, 200)
        await desk.after(10)
        desk.go_home()
        await work
        assert desk.failed == []  # 0 of hundreds
        assert desk.asked > 200
        after = {name: board.pids for name, board in (await status(place)).items()}
        assert {name: after[name] for name in before} == before  # nobody else was restarted


async def a_version_that_does_not_start_changes_nothing(place: Place, folder: Path) -> None:
    broken = Version(folder, "1.0.1").change(
        "service.py", "        self._clock = clock\n", "        raise RuntimeError('no kitchen')\n"
    )
    old = (await status(place))["meals"]
    with pytest.raises(ActRefused, match=r"meals 1\.0\.1 did not start: .*1\.0\.0 goes on"):
        await act(place, "upgrade", broken)
    now = (await status(place))["meals"]
    assert (now.pids, now.version, now.healthy) == (old.pids, "1.0.0", True)
    assert (await place.page(PAGE))[0] == 200


async def a_migration_that_fails_changes_nothing(place: Place, folder: Path) -> None:
    step = "from sqlalchemy import text\n\n\ndef upgrade(c, tables):\n    "
    broken = (
        Version(folder, "1.0.2")
        .add("migrations/__init__.py", "")
        .add("migrations/m0001_one.py", f"{step}c.execute(text('CREATE TABLE meals_extra (x)'))\n")
        .add("migrations/m0002_two.py", f"{step}c.execute(text('ALTER TABLE nowhere ADD y'))\n")
    )
    with pytest.raises(ActRefused, match=r"migration 0002 two failed at: ALTER TABLE nowhere"):
        await act(place, "upgrade", broken)
    assert (await status(place))["meals"].version == "1.0.0"
    assert (await place.page(PAGE))[0] == 200


async def a_broken_promise_is_refused(place: Place, folder: Path) -> None:
    removed = Version(folder, "1.0.3").change(
        "contract.py", "class KitchenClosed(Conflict):", "class ClosedKitchen(Conflict):"
    )
    for file in ("service.py", "rules.py"):
        path = removed.folder / "src" / "plugward_meals" / file
        path.write_text(path.read_text().replace("KitchenClosed", "ClosedKitchen"))
    with pytest.raises(ActRefused, match=r"meals\.KitchenClosed: was removed"):
        await act(place, "upgrade", removed)
    retyped = Version(folder, "1.0.4").change(
        "contract.py", "    ward: WardId\n", "    ward: Plain\n"
    )
    with pytest.raises(ActRefused, match=r"ward: was WardId"):
        await act(place, "upgrade", retyped)
    assert (await status(place))["meals"].version == "1.0.0"


async def the_next_minor_version_serves_and_the_one_before_comes_back(
    place: Place, folder: Path
) -> None:
    newer = Version(folder, "1.1.0").change(
        "contract.py",
        "    dish: Plain  # code",
        '    note: Plain = ""\n    dish: Plain  # code',
    )
    await act(place, "upgrade", newer)
    assert (await status(place))["meals"].version == "1.1.0"
    assert (await place.page(PAGE))[0] == 200
    await act(place, "rollback", "meals")
    assert (await status(place))["meals"].version == "1.0.0"
    assert (await place.page(PAGE))[0] == 200

"""Boards from outside in a real rack: versions of the meals example, and a desk that works on."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from plugward.rack.discover import board_entries
from plugward.rack.embedded import Embedded
from plugward.rack.folder import DataFolder

from .desk import FrontDesk, clinics
from .running import Running, rack_up

MEALS = Path(__file__).parents[2] / "examples" / "meals"
SMALL = {
    "identity", "masterdata", "portal", "patients", "registration", "encounters", "orders",
    "calling",
}  # fmt: skip
START_S = 120
CLERK, DOCTOR = "R10021", "D10247"


class Version:
    """The meals board as its makers might release it next."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder / f"meals-{version}"
        shutil.copytree(MEALS, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        self._package = self.folder / "src" / "plugward_meals"
        for file in (self.folder / "pyproject.toml", self._package / "board.toml"):
            text = file.read_text()
            file.write_text(text.replace('"1.0.0"', f'"{version}"'))

    def change(self, file: str, old: str, new: str) -> "Version":
        path = self._package / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return self

    def add(self, file: str, text: str) -> "Version":
        path = self._package / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return self

    def __str__(self) -> str:
        return str(self.folder)


class Place:
    """A rack with sessions that were opened before it was."""

    def __init__(self, rack: Running, tokens: dict[str, str], slots: list[str]) -> None:
        self.rack = rack
        self.data = rack.data
        self._tokens = tokens
        self._slots = slots

    def front_desk(self) -> FrontDesk:
        return FrontDesk(self.rack.url, self._tokens[CLERK], self._slots)

    def session(self, who: str = DOCTOR) -> aiohttp.ClientSession:
        headers = {"authorization": f"Bearer {self._tokens[who]}"}
        return aiohttp.ClientSession(self.rack.url, headers=headers)

    async def page(self, path: str) -> tuple[int, str]:
        async with (
            self.session() as session,
            session.get(path, allow_redirects=False) as answer,
        ):
            return answer.status, await answer.text()


@asynccontextmanager
async def open_rack(folder: Path) -> AsyncGenerator[Place, None]:
    """A folder prepared by one process, then run by a process a board."""
    data = folder / "hospital"
    slots = await _prepared(data)
    plan = folder / "rack.toml"
    out = sorted(set(board_entries()) - SMALL)
    plan.write_text(
        "[rack]\nmllp_port = 0\n" + "".join(f"[boards.{b}]\nplugged = false\n" for b in out)
    )
    with rack_up(data, str(plan), "--demo", seconds=START_S) as rack:
        tokens = {who: rack.browser(who, "/").token for who in (CLERK, DOCTOR)}
        yield Place(rack, tokens, slots)


async def _prepared(data: Path) -> list[str]:
    """Clinics that are open now, whatever the time of day."""
    folder = DataFolder(data)
    folder.open()
    folder.mark_demo()
    (data / "plugward.toml").write_text(
        "[boards.portal]\nrate_per_s = 100000\nrate_burst = 100000\n"
    )
    hospital = Embedded(folder, without=frozenset(set(board_entries()) - SMALL))
    await hospital.start()
    try:
        return await clinics(hospital.runtime, doctors=20)
    finally:
        await hospital.stop()
        folder.close()

"""A file dropped for the hospital's own hub goes where the site's route says, beside its boards."""

import asyncio
from pathlib import Path

import pytest

from plugward.commons.hub.routing.book import RouteBook
from plugward.kit.time import hospital_time
from tests.journeys.test_outside_systems import hospital

AT = hospital_time("2026-03-02 08:00")
ROUTE = '''"""Dropped files go to the archive."""

import pytest

from plugward.commons.hub.routing import Incoming, Send, Tables


def route(incoming: Incoming, tables: Tables) -> list[Send]:
    return [Send("archive")]
'''


def site(data: Path) -> None:
    (data / "drop").mkdir()
    (data / "destinations.toml").write_text('[archive]\nkind = "files"\nfolder = "archive"\n')
    source = '[lab]\nkind = "files"\nfolder = "drop"\nwhole = "renamed"\nevery_s = 0.05\n'
    (data / "sources.toml").write_text(source)
    book = RouteBook(data / "routes")
    folder = book.new("drop")
    (folder / "route.py").write_text(ROUTE, "utf-8")
    (folder / "route.toml").write_text('takes = ["file *.csv"]\nsenders = ["lab"]\n')
    (folder / "cases" / "first.hl7").rename(folder / "cases" / "first.csv")
    case = 'kind = "file a.csv"\nsender = "lab"\n[[send]]\nto = "archive"\n'
    (folder / "cases" / "first.toml").write_text(case)
    book.activate("drop", by="engineer", why="", at=AT)


@pytest.mark.full
async def test_a_dropped_file_goes_where_the_route_says(tmp_path: Path) -> None:
    site(tmp_path)
    async with hospital(tmp_path):
        (tmp_path / "drop" / "results.csv").write_bytes(b"P1,4.5\n")
        async with asyncio.timeout(10):
            while not list((tmp_path / "archive").glob("*.hl7")):  # noqa: ASYNC110 - the hub's doing
                await asyncio.sleep(0.01)
        [archived] = (tmp_path / "archive").glob("*.hl7")
        assert archived.read_bytes() == b"P1,4.5\n"
    assert [one.name for one in (tmp_path / "drop" / "processed").rglob("*.csv")] == ["results.csv"]

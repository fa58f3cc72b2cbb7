"""F02: boards go in and out while eight clerks serve patients, and no request fails.

医院开诊时拔下、插上插板：挂号窗口不受影响，叫号插板回来后补齐所有候诊号。
"""

import asyncio
import json
import stat
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from plugward.boards.calling.contract import Calling
from plugward.kernel import Unavailable
from plugward.kernel.audit import audit_runtime
from plugward.kernel.envelope import acting_as
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.rack.control.client import tell
from plugward.rack.control.embedded import kept_out
from plugward.rack.control.words import ActRefused, socket_of, token_of
from plugward.vocabulary import EncounterId

from .desk import Open, open_hospital

PLUGWARD = Path(sys.executable).with_name("plugward")
SCREEN = "/calling/screen?department=C1-CARD"


async def act(place: Open, verb: str, board: str, **how: bool) -> list[str]:
    """Say it over the control socket, as the command line does; everything that was answered."""
    said: list[str] = []
    answer = await asyncio.to_thread(tell, place.data, verb, board, say=said.append, **how)
    return [*said, answer.done]


async def test_calling_goes_out_and_comes_back_and_the_front_desk_never_notices(
    tmp_path: Path,
) -> None:
    async with open_hospital(tmp_path / "hospital") as place:
        desk = await place.front_desk()
        work = asyncio.create_task(desk.work())
        await desk.after(10)
        assert await place.page(SCREEN) == 200

        said = await act(place, "unplug", "calling")
        assert "clinic falls back: the queue panel says that calling is offline" in said
        assert said[-1].startswith("calling is unplugged. Its data stay")
        await desk.after(20)
        assert await place.page(SCREEN) == 404
        with acting_as(a_tester()), pytest.raises(Unavailable, match="unplugged"):
            await place.runtime.client(Calling).ticket_of(EncounterId(new_id()))

        await act(place, "plug", "calling")
        await desk.after(10)
        assert await place.page(SCREEN) == 200
        desk.go_home()
        await work
        assert desk.failed == []
        await place.runtime.quiet()
        await everybody_has_one_ticket(place, desk.checked_in)
        report = await audit_runtime(place.runtime)
        assert [b for line in report.lines for b in line.breaches] == []
        assert [
            (e.body["operation"], e.body["reason"], e.body["actor"].split(":")[0])
            for e in reversed(place.runtime.audit.entries())
            if e.body["operation"].startswith("rack.")
        ] == [("rack.unplug", "calling", "operator"), ("rack.plug", "calling", "operator")]


async def everybody_has_one_ticket(place: Open, encounters: list[str]) -> None:
    """Also those who checked in while nobody called."""
    numbers: list[tuple[str, str]] = []
    for encounter in encounters:
        with acting_as(a_tester()):
            ticket = await place.runtime.client(Calling).ticket_of(EncounterId(UUID(encounter)))
        assert ticket is not None
        numbers.append((ticket.queue, ticket.number))
    assert len(set(numbers)) == len(encounters) > 40


async def test_only_the_hospitals_own_operator_is_listened_to_and_answered_in_words(
    tmp_path: Path,
) -> None:
    data = tmp_path / ("deep" * 30) / "hospital"  # longer than a socket's path may be
    async with open_hospital(data) as place:
        await what_cannot_be_done_is_refused_and_changes_nothing(place)
        await what_was_unplugged_stays_out_at_the_next_start(place)
        await the_command_line_shows_every_board(place)
        for path in (socket_of(data), token_of(data)):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        token_of(data).write_text("forged")
        with pytest.raises(ActRefused, match="token is not this hospital's"):
            await act(place, "unplug", "calling")
        assert "calling" in place.runtime.plugged
    assert not socket_of(data).exists()
    with pytest.raises(ActRefused, match="No hospital runs on"):
        tell(data, "status")


async def what_cannot_be_done_is_refused_and_changes_nothing(place: Open) -> None:
    before = set(place.runtime.plugged)
    for verb, board, words in (
        ("unplug", "portal", "hospital's door"),
        ("unplug", "patients", "registration cannot work without patients"),
        ("unplug", "nobody", "not plugged in"),
        ("plug", "calling", "plugged in already"),
        ("plug", "nobody", "Installed are: "),
        ("plug", "billing", "cannot work without pharmacy"),
        ("dance", "calling", "not among plug, unplug,"),
    ):
        with pytest.raises(ActRefused, match=words):
            await act(place, verb, board)
    assert set(place.runtime.plugged) == before
    said = await act(place, "unplug", "patients", anyway=True)
    assert "registration refuses what needs it" in said
    await act(place, "plug", "patients")
    assert set(place.runtime.plugged) == before


async def what_was_unplugged_stays_out_at_the_next_start(place: Open) -> None:
    await act(place, "unplug", "calling")
    assert kept_out(place.data) == {"calling"}
    status = (await asyncio.to_thread(tell, place.data, "status")).status
    assert status is not None
    assert status.unplugged == ("calling",)
    assert "calling" not in {board.name for board in status.boards}
    await act(place, "plug", "calling")
    assert kept_out(place.data) == frozenset()


async def the_command_line_shows_every_board(place: Open) -> None:
    shown = await asyncio.create_subprocess_exec(
        PLUGWARD, "rack", "status", "--json", "--data", place.data,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await shown.communicate()
    assert shown.returncode == 0
    told = json.loads(out)
    assert told["healthy"] is True
    assert {b["name"] for b in told["boards"]} == set(place.runtime.plugged)
    assert all(b["version"] and b["pids"] and b["rss_bytes"] > 0 for b in told["boards"])


def test_the_command_line_says_that_nobody_is_there(tmp_path: Path) -> None:
    for words in (("unplug", "calling"), ("rack", "status")):
        done = subprocess.run(
            [PLUGWARD, *words, "--data", tmp_path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stdout.startswith("No hospital runs on")

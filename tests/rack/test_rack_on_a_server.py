"""A rack on PostgreSQL: a login and a share of the connections for each process, and no more.

机架跑在 PostgreSQL 上：每个进程一个账号、一份连接，挂号窗口全负荷时也不超出。
"""

import asyncio
import os
import re
import signal
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from plugward.kernel.clock import SystemClock
from plugward.kernel.store.server import as_owner
from plugward.rack.place import Place
from plugward.rack.postgres import Postgres
from plugward.rack.supervisor.servers import alive
from plugward.rack.supervisor.spec import Spec, read_secret

from ..databases.servers import mariadb, run_sql
from .desk import FrontDesk, clinic
from .running import PLUGWARD, Running, rack_up, until

ROLES = re.compile(r"\w+_rt")
PLAN = '[rack]\nmllp_port = 0\ndatabase = "postgresql"\n'
# Eight clerks ask more in a second than any eight people.
SETTINGS = "[boards.portal]\nrate_per_s = 100000\nrate_burst = 100000\n"


def a_folder(tmp_path: Path, plan: str) -> tuple[Path, str]:
    data = tmp_path / "hospital"
    data.mkdir(mode=0o700)
    (data / "plugward.toml").write_text(SETTINGS)
    (tmp_path / "plan.toml").write_text(plan)
    return data, str(tmp_path / "plan.toml")


async def a_desk(rack: Running) -> FrontDesk:
    """Clinics published over the portal's API by a registrar, who then serves patients."""
    token = await asyncio.to_thread(lambda: rack.browser("R10021", "/").token)
    clinics = [clinic(number, SystemClock().now()) for number in range(4)]
    headers = {"authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(rack.url, headers=headers) as session:
        for made in clinics:
            body = {"request": msgspec.to_builtins(made)}
            async with session.post("/api/registration/v1/publish_session", json=body) as answer:
                assert answer.status == 200, await answer.text()
    return FrontDesk(rack.url, token, [str(slot.id) for made in clinics for slot in made.slots])


@asynccontextmanager
async def at_work(rack: Running) -> AsyncIterator[FrontDesk]:
    """Eight clerks serve patients meanwhile; not one request may fail."""
    desk = await a_desk(rack)
    work = asyncio.create_task(desk.work())
    try:
        yield desk
    finally:
        desk.go_home()
        await work
    assert desk.failed == []


def stopped(rack: Running) -> None:
    """Ctrl-C; everybody goes, the database server last."""
    rack.process.send_signal(signal.SIGINT)
    assert rack.process.wait(timeout=40) == 0


def audited(data: Path) -> None:
    found = subprocess.run(
        [PLUGWARD, "audit", "--data", data], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout
    assert "everything holds" in found.stdout


@pytest.mark.full
@pytest.mark.timeout(300)
async def test_a_front_desk_on_postgresql(tmp_path: Path) -> None:
    data, plan = a_folder(tmp_path, PLAN)
    with rack_up(data, plan, "--demo", seconds=150) as rack:
        async with at_work(rack) as desk:
            for _ in range(4):
                await desk.after(10)
            found = rack.whole()
        assert found.healthy
        assert found.database.startswith("postgresql on 127.0.0.1:")
        assert all(board.connections for board in found.boards)
        assert 0 < found.connections <= found.connections_budget == 80
        pid_file = (data / "postgresql" / "cluster" / "postmaster.pid").read_text().split("\n")
        ours = Postgres(data / "postgresql", connections_max=80, port=int(pid_file[3]))
        await a_login_reaches_its_own_board_only(ours)
        nothing_secret_is_told(data, rack)
        backed_up(data, tmp_path / "backup")
        stopped(rack)
        assert not alive(int(pid_file[0]))
    audited(data)
    without_its_server(data, tmp_path / "later")


def without_its_server(data: Path, backup: Path) -> None:
    told = subprocess.run(
        [PLUGWARD, "backup", backup, "--data", data], capture_output=True, text=True, check=False
    )
    assert told.returncode != 0
    assert "plugward rack up first" in " ".join(told.stdout.split())


def backed_up(data: Path, backup: Path) -> None:
    """While the rack works: its rows, none of the server's own files; restored, it is whole."""
    restored = backup.with_name("restored")
    for command in (
        ["backup", backup, "--data", data],
        ["restore", backup, "--data", restored],
    ):
        made = subprocess.run([PLUGWARD, *command], capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
    assert not any("postmaster" in str(file) for file in restored.rglob("*"))
    audited(restored)


async def a_login_reaches_its_own_board_only(server: Postgres) -> None:
    owner = as_owner(server.url)
    try:
        for statement in (
            "SET ROLE registration_rt",
            "SET ROLE plugward",
            "SELECT * FROM patients.patients_sys_done",  # without its role it is nobody
            "CREATE ROLE mine",
            "CREATE TEMPORARY TABLE mine (id integer)",
        ):
            async with owner.connect() as connection:
                await connection.execute(text('SET SESSION AUTHORIZATION "pw_patients"'))
                with pytest.raises(DBAPIError, match=r"denied|permission"):
                    await connection.execute(text(statement))
        async with owner.connect() as connection:
            await connection.execute(text('SET SESSION AUTHORIZATION "pw_patients"'))
            await connection.execute(text("SET ROLE patients_rt"))
            done = await connection.execute(text("SELECT 1 FROM patients.patients_sys_done"))
            assert done.all()
    finally:
        await owner.dispose()


def nothing_secret_is_told(data: Path, rack: Running) -> None:
    """No password on a command line, in an environment or in a file for others."""
    owner = (data / "postgresql" / "password").read_text()
    spec = read_secret(data / "rack" / "processes" / "patients.spec", Spec)
    assert spec.stores is not None
    own = spec.stores.url.split(":")[2].partition("@")[0]
    for pid in [*rack.pids(), rack.process.pid]:
        for what in ("cmdline", "environ"):
            told = Path(f"/proc/{pid}/{what}").read_text("utf-8", "replace")
            assert owner not in told
            assert own not in told
    told_of = [*(data / "rack").rglob("*"), *(data / "postgresql").iterdir()]
    for file in told_of:
        if file.is_file():
            assert not stat.S_IMODE(file.stat().st_mode) & 0o077, file


@pytest.mark.full
@pytest.mark.timeout(300)
async def test_a_front_desk_on_the_site_s_mariadb(tmp_path: Path) -> None:
    """The address names the owner; every process still has a login and a share of its own."""
    with mariadb() as url:
        await asyncio.to_thread(run_sql, url, "DROP USER IF EXISTS ''@'localhost'")
        plan_text = PLAN.replace("postgresql", f"{url}&prefix=east_")
        data, plan = a_folder(tmp_path, plan_text)
        with rack_up(data, plan, "--demo", seconds=150) as rack:
            async with at_work(rack) as desk:
                for _ in range(4):
                    await desk.after(10)
                found = rack.whole()
            assert found.healthy
            assert all(board.connections for board in found.boards)
            assert 0 < found.connections <= 80
            grants = "SHOW GRANTS FOR `east_pw_patients`@`%`"
            told = "\n".join(str(row[0]) for row in await asyncio.to_thread(run_sql, url, grants))
            assert "MAX_USER_CONNECTIONS" in told
            assert {role for role in ROLES.findall(told)} == {"east_patients_rt", "east_audit_rt"}
            stopped(rack)
        audited(data)


@pytest.mark.full
@pytest.mark.timeout(180)
async def test_the_server_is_killed_and_comes_back(tmp_path: Path) -> None:
    data, plan = a_folder(tmp_path, PLAN)
    with rack_up(data, plan, "--demo", seconds=150) as rack:
        async with at_work(rack) as desk:
            await desk.after(10)
        file = data / "postgresql" / "cluster" / "postmaster.pid"
        first = int(file.read_text().split()[0])
        os.kill(first, signal.SIGKILL)
        until(lambda: file.exists() and int(file.read_text().split()[0]) != first)
        until(lambda: rack.whole().connections > 1)
        async with at_work(rack) as desk:
            await desk.after(10)
        everybody = [*rack.pids(), int(file.read_text().split()[0])]
        rack.process.kill()  # no farewell: the guard ends the server after the boards
        until(lambda: not any(map(alive, everybody)))
    audited(data)


@pytest.mark.full
def test_a_hospital_stays_where_it_is(tmp_path: Path) -> None:
    """A rack never starts a second, empty hospital beside the first."""
    data, plan = a_folder(tmp_path, "[rack]\nmllp_port = 0\n")
    (data / "database.json").write_bytes(msgspec.json.encode(Place("postgresql")))
    for command in (
        [PLUGWARD, "rack", "up", plan, "--data", data],
        [PLUGWARD, "up", "--data", data, "--port", "0"],
    ):
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert found.returncode == 2, found.stdout
        assert "is a hospital on postgresql" in " ".join(found.stdout.split())

"""On a server the hospital works as roles that reach what they need, and the engine refuses more.

SEC-BOARD-08: a role a board. SEC-AUDIT-07: the audit log is added to, and never changed.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from plugward.kernel.auditlog import AuditLog, verify_store
from plugward.kernel.auditserver import ServerStore
from plugward.kernel.clock import ManualClock
from plugward.kernel.envelope import acting_as
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.store.engine import Reach
from plugward.kernel.store.roles import connect_as
from plugward.kernel.store.server import with_driver, without
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id

from .servers import own_hospital, run_sql
from .test_store_promises import a_box
from .vault.board import board
from .vault.contract import Vault


@dataclass
class Site:
    """A hospital whose database has an owner, and a login for the hospital that owns nothing."""

    server: str
    owner: str
    url: str
    runtime: Runtime

    async def says(self, statement: str, *, role: str = "vault") -> list[Any]:
        """What the database answers to a connection of the hospital in this role."""
        url = with_driver(make_url(self.url))
        schema = f"{url.query['prefix']}{role}"
        arguments: dict[str, Any] = connect_as(url, schema)
        engine = create_async_engine(
            without(url, "prefix"), connect_args=arguments, isolation_level="AUTOCOMMIT"
        )
        try:
            async with engine.connect() as connection:
                found = await connection.execute(text(self.named(statement)))
                return list(found.all()) if found.returns_rows else []
        finally:
            await engine.dispose()

    def named(self, statement: str) -> str:
        prefix = make_url(self.url).query["prefix"]
        return statement.replace("§", str(prefix))


@pytest.fixture(params=["postgresql", "mariadb"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    server: str = request.getfixturevalue(f"{request.param}_url")
    owner, login = own_hospital(server), f"his_{secrets.token_hex(4)}"
    if request.param == "postgresql":
        in_thread = [f'CREATE ROLE "{login}" LOGIN NOINHERIT']
    else:
        in_thread = ["DROP USER IF EXISTS ''@'localhost'", f"CREATE USER `{login}`@`%`"]
    await _in_thread(server, *in_thread)
    url = str(make_url(owner).set(username=login).render_as_string(hide_password=False))
    clock = ManualClock("2026-03-02 08:00")
    audit = AuditLog(ServerStore(url, reach=Reach(owner=owner)), clock)
    runtime = Runtime(Databases(url, reach=Reach(owner=owner)), clock, audit)
    await runtime.start([board])
    yield Site(server, owner, url, runtime)
    await runtime.stop()


async def _in_thread(server: str, *statements: str) -> list[Any]:
    return await asyncio.to_thread(run_sql, server, *statements)


async def a_day(site: Site) -> None:
    for _ in range(3):
        with acting_as(a_tester(), request=new_id()):
            await site.runtime.client(Vault).put(a_box(left=4))
    with acting_as(a_tester()):
        assert len(await site.runtime.client(Vault).boxes()) == 3
    await site.runtime.quiet()


async def refused(site: Site, statement: str, role: str = "vault") -> str:
    with pytest.raises(DBAPIError) as told:
        await site.says(statement, role=role)
    return str(told.value.orig).lower()


async def test_sec_board_08_a_board_reaches_its_own_rows_and_nothing_else(site: Site) -> None:
    await a_day(site)
    assert (await site.says("SELECT count(*) FROM §vault.vault_box"))[0][0] == 3
    await _in_thread(
        site.server, site.named("CREATE TABLE §audit.somebody_elses (id INTEGER PRIMARY KEY)")
    )
    for statement in (
        "SELECT * FROM §audit.somebody_elses",
        "SELECT * FROM §audit.audit_entry",
        "DROP TABLE §vault.vault_box",
        "CREATE TABLE §vault.mine (id INTEGER PRIMARY KEY)",
        "ALTER TABLE §vault.vault_box ADD COLUMN mine INTEGER",
    ):
        said = await refused(site, statement)
        assert "denied" in said or "must be owner" in said, (statement, said)


async def test_sec_audit_07_the_runtime_role_only_adds_to_the_log(site: Site) -> None:
    await a_day(site)
    before = site.runtime.audit.count()
    assert before == 3
    for statement in (
        "UPDATE §audit.audit_entry SET actor = 'nobody'",
        "DELETE FROM §audit.audit_entry",
        "TRUNCATE TABLE §audit.audit_entry",
        "UPDATE §audit.audit_anchor SET seq = 1",
        "DELETE FROM §audit.audit_anchor",
    ):
        assert "denied" in await refused(site, statement, role="audit")
    assert site.runtime.audit.count() == before

    # even the owner meets a guard
    log = site.runtime.audit.store
    log.anchor("main", 1, log.hash_at("main", 1) or b"", "")
    for statement in (
        "UPDATE §audit.audit_entry SET actor = 'nobody'",
        "DELETE FROM §audit.audit_entry",
        "TRUNCATE TABLE §audit.audit_entry",
    ):
        with pytest.raises(DBAPIError):
            await _in_thread(site.server, site.named(statement))


async def test_the_chain_goes_on_over_a_restart_and_names_what_was_edited(site: Site) -> None:
    """Whoever takes the guard away and edits a row leaves a broken chain behind."""
    await a_day(site)
    await site.runtime.stop()
    clock = ManualClock("2026-03-02 09:00")
    audit = AuditLog(ServerStore(site.url, reach=Reach(owner=site.owner)), clock)
    site.runtime = Runtime(Databases(site.url, reach=Reach(owner=site.owner)), clock, audit)
    await site.runtime.start([board])
    await a_day_more(site)
    assert list(site.runtime.audit.verify()) == []
    assert site.runtime.audit.count() == 4
    assert site.runtime.audit.missing([new_id()]) != []

    store = site.runtime.audit.store
    assert list(verify_store(store)) == []
    postgresql = site.url.startswith("postgresql")
    guard = (
        "audit_entry_only_grows ON §audit.audit_entry"
        if postgresql
        else "§audit.audit_entry_update"
    )
    await _in_thread(
        site.server,
        site.named(f"DROP TRIGGER {guard}"),
        site.named("UPDATE §audit.audit_entry SET body = '{}' WHERE seq = 2"),
    )
    assert list(verify_store(store)) == ["audit lane main: entry 2 was changed"]


async def a_day_more(site: Site) -> None:
    with acting_as(a_tester(), request=new_id()):
        await site.runtime.client(Vault).put(a_box(left=4))
    await site.runtime.quiet()

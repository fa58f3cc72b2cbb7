"""The demo's log-ins: random for each data folder, in a file that only its owner reads.

They go through the same door as anybody's. Hashing them takes about a second, so it happens in the
background: who comes earlier waits for his own.
"""

import asyncio
import contextvars
import os
import secrets
from pathlib import Path

import msgspec

from plugward.kernel import Message, Store, Work
from plugward.kernel.runtime import Runtime
from plugward.kit.message import Identifying, Plain, Secret

from .accounts import member_of
from .contract import AccountState, Grant, GrantId, StaffChanged
from .passwords import Hasher
from .seed import DEMO_STAFF, DemoStaff, demo_grant_id
from .tables import Credentials, accounts

FILE = "demo-logins.json"
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # no letter that looks like another


class Login(Message):
    """One line of the file."""

    staff_no: Plain
    password: Secret
    name: Identifying
    title: Plain
    role: Plain
    campus: Plain


def read_logins(folder: Path) -> tuple[Login, ...]:
    """The log-ins of a demo's data folder; none if there is no demo."""
    path = folder / FILE
    if not path.exists():
        return ()
    return msgspec.json.decode(path.read_bytes(), type=tuple[Login, ...])


async def prepare(runtime: Runtime, folder: Path) -> tuple[Login, ...]:
    """Make sure the demo's people can sign in; returns their log-ins for printing."""
    logins = await asyncio.to_thread(_kept_or_made, folder)
    await runtime.plugged["identity"].service.demo.admit(logins)
    return logins


def _kept_or_made(folder: Path) -> tuple[Login, ...]:
    kept = {login.staff_no: login for login in read_logins(folder)}
    logins = tuple(kept.get(person.staff_no) or _login(person) for person in DEMO_STAFF)
    if len(kept) < len(logins):
        _write(folder / FILE, logins)
    return logins


def _login(person: DemoStaff) -> Login:
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))
    return Login(
        staff_no=person.staff_no,
        password="-".join(groups),
        name=person.name,
        title=person.title,
        role=person.role,
        campus=person.campuses[0],
    )


def _write(path: Path, logins: tuple[Login, ...]) -> None:
    """Whole or not at all, and readable by its owner only from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(logins), indent=1))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


class Demo:
    """Lets the demo's people in, and hashes their passwords while others already work."""

    def __init__(self, store: Store, hasher: Hasher) -> None:
        self._store = store
        self._hasher = hasher
        self._hashing: dict[str, asyncio.Task[None]] = {}

    async def admit(self, logins: tuple[Login, ...]) -> None:
        unhashed = await self._store.work(_add_people, tuple(login.staff_no for login in logins))
        loop = asyncio.get_running_loop()
        for login in logins:
            if login.staff_no in unhashed:
                # In a context of its own: it is no part of the call that is under way.
                self._hashing[login.staff_no] = loop.create_task(
                    self._hash(login), context=contextvars.Context()
                )

    async def _hash(self, login: Login) -> None:
        hashed = await self._hasher.hash(login.password, patiently=True)
        await self._store.work(_set_hash, login.staff_no, hashed)
        self._hashing.pop(login.staff_no, None)

    async def hashed(self, staff_no: str) -> None:
        """Wait until this person's password is hashed, if it is not yet."""
        task = self._hashing.get(staff_no)
        if task is not None:
            await asyncio.shield(task)

    async def all_hashed(self) -> None:
        """Wait for everybody's (tests, and a stop that leaves nothing half done)."""
        await asyncio.gather(*self._hashing.values())

    async def stop(self) -> None:
        for task in list(self._hashing.values()):
            task.cancel()
        if self._hashing:
            await asyncio.wait(self._hashing.values())
        self._hashing.clear()


def _add_people(work: Work, staff_nos: tuple[str, ...]) -> tuple[str, ...]:
    """Add who is missing; says whose password is still to be hashed."""
    unhashed = []
    for person in DEMO_STAFF:
        if person.staff_no not in staff_nos:
            continue
        account = work.get_or_none(accounts, Credentials, person.id)
        if account is None:
            account = _account(work, person)
            work.insert(accounts, account)
            work.publish(StaffChanged(staff=member_of(account), state=account.state))
        if account.password_hash is None:
            unhashed.append(person.staff_no)
    return tuple(unhashed)


def _account(work: Work, person: DemoStaff) -> Credentials:
    grant = Grant(
        id=GrantId(demo_grant_id(person.staff_no)),
        role=person.role,
        campuses=person.campuses,
        reason="demo",
    )
    return Credentials(
        id=person.id,
        staff_no=person.staff_no,
        name=person.name,
        title=person.title,
        department=person.department,
        kind=person.kind,
        state=AccountState.ACTIVE,
        grants=(grant,),
        is_demo=True,
        opened_at=work.now,
    )


def _set_hash(work: Work, staff_no: str, hashed: str) -> None:
    work.set_where(
        accounts,
        accounts.c.staff_no == staff_no,
        accounts.c.password_hash.is_(None),
        password_hash=hashed,
        password_at=work.now,
    )

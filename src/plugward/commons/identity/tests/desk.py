"""A front desk for the scenarios: people with accounts, and screens they sit at."""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from argon2 import PasswordHasher

from plugward.commons.identity.board import board
from plugward.commons.identity.contract import (
    AccountKind,
    AccountState,
    Grant,
    GrantId,
    Identity,
    SignedIn,
    SignIn,
    hash_of_token,
)
from plugward.commons.identity.tables import Credentials, accounts
from plugward.kernel import Work
from plugward.kernel.envelope import ANONYMOUS, Call, acting_as
from plugward.kernel.testing import Bench, Transport
from plugward.kit.ids import new_id, seeded_id
from plugward.vocabulary import CampusCode, DepartmentCode, StaffId

GOOD = "zhaoyun-changban-7"
"""The password of everybody here."""


@cache
def good_hash() -> str:
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash(GOOD)


def staff_id(staff_no: str) -> StaffId:
    return StaffId(seeded_id(1_772_400_000_000, staff_no.encode()))


def granted(role: str, *campuses: str, departments: tuple[str, ...] = ()) -> Grant:
    return Grant(
        id=GrantId(new_id()),
        role=role,
        campuses=tuple(map(CampusCode, campuses)),
        departments=tuple(map(DepartmentCode, departments)),
    )


def person(staff_no: str, name: str, *grants: Grant, **changes: object) -> Credentials:
    account = Credentials(
        id=staff_id(staff_no),
        staff_no=staff_no,
        name=name,
        title="",
        department=DepartmentCode("C1-CARD"),
        kind=AccountKind.PERSON,
        state=AccountState.ACTIVE,
        grants=grants,
        password_hash=good_hash(),
    )
    return account.replace(**changes)


DR_LIN = person("D10247", "林予安", granted("doctor", "C1"))
NURSE_HE = person("N10052", "何静姝", granted("nurse", "C1"))
MR_HAN = person("M10001", "韩守正", granted("manager", "C1", "C2", "C3"))
MS_QIN = person("A10001", "秦安", granted("administrator", "C1", "C2", "C3"))


class Desk:
    """The board on its bench, with people already employed."""

    def __init__(
        self, *people: Credentials, transport: Transport = Transport.STRICT, **settings: Any
    ) -> None:
        self.bench = Bench(board, transport=transport, settings=settings)
        self.identity = self.bench.client(Identity)
        self._people = people
        self._employed = False

    async def employ(self) -> None:
        if not self._employed:
            self._employed = True
            await self.bench.ready()
            await self.bench.service.store.work(_employ, self._people)

    def at(
        self, address: str = "10.1.0.7", device: str | None = None
    ) -> AbstractContextManager[Call]:
        """A screen nobody is signed in at."""
        return acting_as(msgspec.structs.replace(ANONYMOUS, address=address, device=device))

    async def sign_in(
        self,
        staff_no: str = DR_LIN.staff_no,
        password: str = GOOD,
        *,
        address: str = "10.1.0.7",
        device: str | None = None,
        campus: str = "",
    ) -> tuple[SignedIn, str]:
        """Sign in; returns who, and the reference the browser keeps."""
        await self.employ()
        token = new_id().hex
        with self.at(address, device):
            who = await self.identity.sign_in(
                SignIn(staff_no=staff_no, password=password, token=token, campus=CampusCode(campus))
            )
        return who, token

    async def ask(self, token: str, *, is_quiet: bool = False) -> SignedIn:
        """What the edge asks for every request."""
        with self.at():
            return await self.identity.session(hash_of_token(token), is_quiet)

    def working(self, who: SignedIn, request: UUID | None = None) -> AbstractContextManager[Call]:
        """Calls inside are made in this session."""
        return acting_as(who.actor(), campus=who.campus, request=request)


def _employ(work: Work, people: tuple[Credentials, ...]) -> None:
    for account in people:
        work.insert(accounts, account.replace(opened_at=work.now))

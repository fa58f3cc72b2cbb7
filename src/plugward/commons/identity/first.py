"""The first start of a hospital: no demo account exists, and one code opens one account."""

import secrets
from typing import NamedTuple

from plugward.kernel import Reading, Work
from plugward.kernel.board import BoardError
from plugward.kernel.runtime import Runtime
from plugward.kit.ids import derive
from plugward.vocabulary import DepartmentCode

from .accounts import Terms, member_of
from .contract import AccountKind, AccountState, Grant, GrantId, StaffChanged
from .passwords import hash_of_code
from .rules import EVERYWHERE
from .seed import demo_staff_id
from .tables import Credentials, SiteRow, accounts, site

STAFF_NO = "admin"
ADMINISTRATORS_MAX = 1_000


class DemoAndHospital(BoardError):
    """A data folder is a demo's or a hospital's, and never becomes the other."""


class FirstCode(NamedTuple):
    """Print it on the console; it is not kept and cannot be shown again."""

    staff_no: str
    code: str
    hours: int


def keep_apart(work: Work, is_demo: bool) -> None:
    """Write down at the first start what this data folder is, and hold to it ever after."""
    mine = SiteRow(id=1, profile="demo" if is_demo else "production")
    if work.insert_new(site, mine):
        return
    was = work.get(site, SiteRow, 1).profile
    if was != mine.profile:
        raise DemoAndHospital(
            f"this data folder is a {was} one and cannot become {mine.profile}; "
            "make an empty one for a hospital: plugward new-hospital"
        )


async def first_administrator(runtime: Runtime) -> FirstCode | None:
    """A one-time code for the account ``admin``; None once somebody administers this hospital.

    Asked again before the code was used, it gives a new one and the old one is void.
    """
    plugged = runtime.plugged["identity"]
    if plugged.settings["demo"] or await plugged.store.read(_is_administered):
        return None
    code = secrets.token_hex(12)
    hours = plugged.settings["code_hours"]
    await plugged.store.work(_invite, hash_of_code(code), hours)
    return FirstCode(STAFF_NO, code, hours)


def _is_administered(read: Reading) -> bool:
    found = read.find(accounts, Credentials, state=AccountState.ACTIVE, limit=ADMINISTRATORS_MAX)
    return any(g.role == "administrator" for a in found for g in a.grants)


def _invite(work: Work, code_hash: str, hours: int) -> None:
    before = work.first(accounts, Credentials, staff_no=STAFF_NO)
    until = work.now + Terms((), hours).code_until
    if before is not None:
        invited = before.replace(state=AccountState.INVITED, code_hash=code_hash, code_until=until)
        work.update(accounts, before=before, after=invited)
        return
    staff = demo_staff_id(STAFF_NO)
    account = Credentials(
        id=staff,
        staff_no=STAFF_NO,
        name="系统管理员",
        title="",
        department=DepartmentCode(""),
        kind=AccountKind.PERSON,
        state=AccountState.INVITED,
        grants=(
            Grant(
                id=GrantId(derive(staff, "administrator")),
                role="administrator",
                campuses=(EVERYWHERE,),
                reason="first administrator",
            ),
        ),
        code_hash=code_hash,
        code_until=until,
        opened_at=work.now,
    )
    work.insert(accounts, account)
    work.publish(StaffChanged(staff=member_of(account), state=account.state))

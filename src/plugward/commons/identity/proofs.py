"""The invariants of identity, run by ``plugward audit``."""

from plugward.kernel import Finding, Reading, proof

from .contract import AccountState
from .tables import Credentials, SessionRow, accounts, sessions

PAGE = 1_000


@proof("IDENTITY-1", "Every password is kept as an argon2id hash, and nobody active lacks one")
def passwords_are_hashed(read: Reading) -> Finding:
    found = read.find(accounts, Credentials, limit=PAGE, order_by="staff_no")
    bad = tuple(
        str(a.id)
        for a in found
        if (a.password_hash is not None and not a.password_hash.startswith("$argon2id$"))
        or (a.state is AccountState.ACTIVE and a.password_hash is None and not a.is_demo)
    )
    return Finding(examined=len(found), breaches=bad)


@proof("IDENTITY-2", "A disabled account has no running session")
def nobody_disabled_is_signed_in(read: Reading) -> Finding:
    running = read.find(
        sessions, SessionRow, sessions.c.ends_at > read.now, ended_at=None, limit=PAGE
    )
    staff = tuple({row.staff for row in running})
    disabled = read.find(accounts, Credentials, id=staff, state=AccountState.DISABLED, limit=PAGE)
    return Finding(examined=len(running), breaches=tuple(str(a.id) for a in disabled))

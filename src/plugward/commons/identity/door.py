"""The door 门: looks at passwords, makes those wait who guess, and tells nobody why not."""

from sqlalchemy import select

from plugward.kernel import Reading, Settings, Store
from plugward.kit.time import Clock

from .contract import AccountState, SamePassword, TryLater, WrongCredentials
from .demo import Demo
from .live import Tries
from .passwords import Hasher, check_password, words_about
from .tables import Credentials, accounts, sessions

Key = tuple[str, str]


class DoorKeeper:
    """Every way in with a password or a code goes through here."""

    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._hasher = Hasher()
        self.demo = Demo(store, self._hasher)
        self._tries = Tries()

    async def known(self, staff_no: str) -> tuple[Credentials | None, str]:
        """The account, if there is one, and the place that the tries are counted for."""
        await self.demo.hashed(staff_no)
        return await self._store.read(_known, staff_no)

    def begin(self, staff_no: str, place: str) -> Key:
        """Count a try; refuse with ``TryLater`` while this place has to wait."""
        key = (staff_no.casefold(), place)
        wait = self._tries.begin(key, self._clock.now())
        if wait:
            raise TryLater(wait_s=wait)
        return key

    def passed(self, key: Key) -> None:
        self._tries.succeeded(key)

    async def proven(self, staff_no: str, password: str) -> Credentials:
        """The active account whose password this is.

        Unknown, wrong and disabled look alike and take as long as each other.
        """
        account, place = await self.known(staff_no)
        key = self.begin(staff_no, place)
        active = account is not None and account.state is AccountState.ACTIVE
        fits = await self._hasher.matches(account.password_hash if account else None, password)
        if account is None or not (fits and active):
            raise WrongCredentials
        self.passed(key)
        return account

    async def good_hash(self, account: Credentials, password: str) -> str:
        """The hash of a new password that keeps the rules and is not an earlier one."""
        about = words_about(account.staff_no, account.name, self._settings["hospital_words"])
        check_password(password, rule=self._settings["password_rule"], about=about)
        current = (account.password_hash,) if account.password_hash else ()
        for earlier in (*current, *account.earlier_hashes):
            if await self._hasher.matches(earlier, password):
                raise SamePassword
        return await self._hasher.hash(password)


def _known(read: Reading, staff_no: str) -> tuple[Credentials | None, str]:
    """A device counts as a place of its own only if this account has signed in there before.

    A made-up device name therefore gains nothing, and whoever guesses from the same address does
    not make the owner wait at the usual desk.
    """
    account = read.first(accounts, Credentials, staff_no=staff_no)
    device, address = read.actor.device, read.actor.address or ""
    if account is not None and device:
        used = select(sessions.c.id).where(
            sessions.c.staff == account.id, sessions.c.device == device
        )
        if read.rows(used.limit(1)):
            return account, f"device:{device}"
    return account, f"address:{address}"

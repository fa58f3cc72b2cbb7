"""Billing for other boards' tests: accounts are what a test puts into them."""

from plugward.vocabulary import EncounterId

from .contract import Account, AccountLine, Billing


class FakeBilling(Billing):
    """``lines[encounter] = (…)`` sets an account, ``awaited[encounter] = 2`` lets facts wait."""

    def __init__(self) -> None:
        self.lines: dict[EncounterId, tuple[AccountLine, ...]] = {}
        self.awaited: dict[EncounterId, int] = {}

    async def account(self, encounter: EncounterId) -> Account:
        return Account(
            encounter=encounter,
            lines=self.lines.get(encounter, ()),
            awaited=self.awaited.get(encounter, 0),
            bills=(),
        )

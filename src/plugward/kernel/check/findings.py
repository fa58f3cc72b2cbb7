"""Findings 检查结果: sentences that say what is wrong and what to do."""

from collections.abc import Iterator

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong: the rule it breaks, where, and what to do about it."""

    rule: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Report(msgspec.Struct, frozen=True):
    """What was found on one board. ``notes`` are worth knowing and nothing is wrong with them."""

    board: str
    title: str
    version: str
    declared: str
    earned: str
    operations: int
    events: int
    refusals: int
    tables: int
    pages: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.findings


Findings = Iterator[Finding]

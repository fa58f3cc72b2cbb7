"""The catalogue other boards' tests plug in: in memory, with the demonstration hospital's entries.

It keeps the same promises as the real one; the same scenarios are run against both.
"""

from collections.abc import Iterable

from plugward.kit.time import Instant, hospital_time

from .contract import (
    Domain,
    Draft,
    Entry,
    EntryNotFound,
    EntryPublished,
    MasterData,
    Preview,
    Publication,
    Retirement,
)
from .rules import check_drafts, difference, digest_of, entry_of, in_force
from .seed import drafts as seed_drafts


def seeded(domain: Domain, *codes: str) -> tuple[EntryPublished, ...]:
    """The facts by which the demonstration entries became known: feed them to a bench."""
    known = {draft.code: draft for draft in seed_drafts(domain)}
    return tuple(published(domain, known[code]) for code in codes or known)


def published(
    domain: Domain, draft: Draft, *, version: int = 1, sequence: int = 1
) -> EntryPublished:
    """The fact that this draft became this version."""
    start = draft.valid_from or hospital_time("2020-01-01 00:00")
    entry = entry_of(domain, draft, None, start)
    return EntryPublished(entry=entry.replace(version=version, sequence=sequence))


class FakeMasterData(MasterData):
    """A catalogue in memory. ``now`` is what it takes for this instant."""

    def __init__(self, *domains: Domain, now: str = "2026-03-02 08:00") -> None:
        self.now: Instant = hospital_time(now)
        self.log: dict[Domain, list[Entry]] = {domain: [] for domain in Domain}
        for domain in domains:
            self._append(domain, (entry.entry for entry in seeded(domain)))

    async def entries(self, domain: Domain, after: int, limit: int) -> tuple[Entry, ...]:
        return tuple(e for e in self.log[domain] if e.sequence > after)[:limit]

    async def entry_at(self, domain: Domain, code: str, instant: Instant) -> Entry:
        found = in_force((e for e in self.log[domain] if e.code == code), instant)
        if found is None:
            raise EntryNotFound(domain=domain, entry=code)
        return found

    async def in_force(
        self, domain: Domain, after_code: str = "", limit: int = 200
    ) -> tuple[Entry, ...]:
        codes = sorted({e.code for e in self.log[domain] if e.code > after_code})
        found = (in_force((e for e in self.log[domain] if e.code == c), self.now) for c in codes)
        return tuple(e for e in found if e is not None)[:limit]

    async def search(self, domain: Domain, text: str, limit: int = 20) -> tuple[Entry, ...]:
        words = text.strip()
        if not words:
            return ()
        return tuple(
            e
            for e in await self.in_force(domain, limit=1_000)
            if e.code.upper().startswith(words.upper())
            or words.upper() in e.pinyin
            or words in e.name_zh
            or words.lower() in e.name_en.lower()
        )[:limit]

    async def preview(self, domain: Domain, drafts: tuple[Draft, ...]) -> Preview:
        check_drafts(domain, drafts)
        found = tuple(difference(draft, self._latest(domain, draft.code)) for draft in drafts)
        return Preview(domain=domain, differences=found, digest=digest_of(found))

    async def publish(
        self, domain: Domain, drafts: tuple[Draft, ...], reason: str, seen: str = ""
    ) -> Publication:
        del reason, seen
        check_drafts(domain, drafts)
        pairs = [(draft, self._latest(domain, draft.code)) for draft in drafts]
        new = self._append(
            domain,
            [
                entry_of(domain, draft, latest, draft.valid_from or self.now)
                for draft, latest in pairs
                if latest is None or difference(draft, latest).changes
            ],
        )
        return Publication(
            domain=domain,
            published=new,
            unchanged=len(drafts) - len(new),
            last_sequence=len(self.log[domain]),
        )

    async def retire(self, request: Retirement) -> Entry:
        latest = self._latest(request.domain, request.code)
        if latest is None or latest.is_retired:
            raise EntryNotFound(domain=request.domain, entry=request.code)
        last = latest.replace(
            version=latest.version + 1,
            valid_from=request.at or self.now,
            is_retired=True,
            successor=request.successor,
        )
        return self._append(request.domain, [last])[0]

    def _latest(self, domain: Domain, code: str) -> Entry | None:
        return next((e for e in reversed(self.log[domain]) if e.code == code), None)

    def _append(self, domain: Domain, new: Iterable[Entry]) -> tuple[Entry, ...]:
        log = self.log[domain]
        numbered = tuple(e.replace(sequence=len(log) + i) for i, e in enumerate(new, start=1))
        log.extend(numbered)
        return numbered

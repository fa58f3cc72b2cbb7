"""What master data does: publish versions, tell them in order, find what is in force."""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_

from plugward.kernel import Reading, Store, Work, in_work, messages, reading
from plugward.kit.message import Message
from plugward.kit.time import Clock, Instant

from .contract import (
    Change,
    CodeTaken,
    Difference,
    DifferencesNotSeen,
    Domain,
    Draft,
    EffectiveInThePast,
    Entry,
    EntryNotFound,
    EntryPublished,
    MasterData,
    Preview,
    Publication,
    Retirement,
)
from .rules import (
    CHARGED,
    DRAFTS_MAX,
    UNSEEN_DRAFTS_MAX,
    check_drafts,
    difference,
    digest_of,
    entry_of,
    start_of,
)
from .tables import charge_codes, entries, heads

LIST_MAX = 1_000
SEARCH_MAX = 50


class Head(Message):
    """The latest version of a code, and the words it is found by."""

    domain: Domain
    code: str
    version: int
    code_upper: str
    name_zh: str
    name_lower: str
    pinyin: str


class ChargeCode(Message):
    """The one domain a code that costs money belongs to."""

    code: str
    domain: Domain


class MasterDataService(MasterData):
    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self._clock = clock

    # ── looking ─────────────────────────────────────────────────────────────────────────────
    @reading
    def entries(self, read: Reading, domain: Domain, after: int, limit: int) -> tuple[Entry, ...]:
        return read.find(
            entries,
            Entry,
            entries.c.sequence > after,
            limit=max(1, min(limit, LIST_MAX)),
            order_by="sequence",
            domain=domain,
        )

    @reading
    def entry_at(self, read: Reading, domain: Domain, code: str, instant: Instant) -> Entry:
        statement = _in_force(read, domain, instant).where(entries.c.code == code).limit(1)
        found = messages(read.rows(statement), Entry)
        if not found:
            raise EntryNotFound(domain=domain, entry=code)
        return found[0]

    @reading
    def in_force(
        self, read: Reading, domain: Domain, after_code: str = "", limit: int = 200
    ) -> tuple[Entry, ...]:
        statement = (
            _in_force(read, domain, read.now)
            .where(entries.c.code > after_code)
            .order_by(entries.c.code)
            .limit(max(1, min(limit, LIST_MAX)))
        )
        return messages(read.rows(statement), Entry)

    @reading
    def search(
        self, read: Reading, domain: Domain, text: str, limit: int = 20
    ) -> tuple[Entry, ...]:
        words = text.strip()
        if not words:
            return ()
        closeness = _closeness(words)
        statement = (
            _in_force(read, domain, read.now)
            .join(heads, and_(heads.c.domain == entries.c.domain, heads.c.code == entries.c.code))
            .where(closeness < _NO_MATCH)
            .order_by(closeness, func.length(heads.c.name_zh), heads.c.code)
            .limit(max(1, min(limit, SEARCH_MAX)))
        )
        return messages(read.rows(statement), Entry)

    @reading
    def preview(self, read: Reading, domain: Domain, drafts: tuple[Draft, ...]) -> Preview:
        check_drafts(domain, drafts)
        latest = _latest(read, domain, drafts)
        _check_codes(read, domain, drafts)
        differences = tuple(difference(draft, latest.get(draft.code)) for draft in drafts)
        for draft, found in zip(drafts, differences, strict=True):
            if _makes_version(draft, found):
                start_of(draft, latest.get(draft.code), read.now)
        return Preview(domain=domain, differences=differences, digest=digest_of(differences))

    # ── publishing ──────────────────────────────────────────────────────────────────────────
    @in_work
    def publish(
        self, work: Work, domain: Domain, drafts: tuple[Draft, ...], reason: str, seen: str = ""
    ) -> Publication:
        check_drafts(domain, drafts)
        latest = _latest(work, domain, drafts)
        differences = tuple(difference(draft, latest.get(draft.code)) for draft in drafts)
        if (len(drafts) > UNSEEN_DRAFTS_MAX or seen) and seen != digest_of(differences):
            raise DifferencesNotSeen(domain=domain)
        wanted = [
            (draft, latest.get(draft.code))
            for draft, found in zip(drafts, differences, strict=True)
            if _makes_version(draft, found)
        ]
        _claim_codes(work, domain, [draft for draft, before in wanted if before is None])
        published = self._append(
            work,
            reason,
            [
                (entry_of(domain, draft, before, start_of(draft, before, work.now)), before)
                for draft, before in wanted
            ],
        )
        return Publication(
            domain=domain,
            published=published,
            unchanged=len(drafts) - len(published),
            last_sequence=published[-1].sequence if published else _last_sequence(work, domain),
        )

    @in_work
    def retire(self, work: Work, request: Retirement) -> Entry:
        domain, code = request.domain, request.code
        latest = work.first(entries, Entry, order_by="-version", domain=domain, code=code)
        if latest is None or latest.is_retired:
            raise EntryNotFound(domain=domain, entry=code)
        successor = request.successor
        if successor is not None and (successor == code or not _is_known(work, domain, successor)):
            raise EntryNotFound(domain=domain, entry=successor)
        start = request.at or work.now
        if start < work.now:
            raise EffectiveInThePast(entry=code)
        last = latest.replace(
            version=latest.version + 1,
            valid_from=start,
            valid_to=None,
            is_retired=True,
            successor=successor,
        )
        return self._append(work, request.reason, [(last, latest)])[0]

    def _append(
        self, work: Work, reason: str, versions: list[tuple[Entry, Entry | None]]
    ) -> tuple[Entry, ...]:
        """Write versions to the log in order, move the heads, tell everybody."""
        if not versions:
            return ()
        domain = versions[0][0].domain
        # The counter's row is locked until commit: the log has no gaps that fill up later.
        numbers = work.next_numbers(domain.value, len(versions))
        published = tuple(
            entry.replace(sequence=number)
            for (entry, _), number in zip(versions, numbers, strict=True)
        )
        work.insert(
            entries,
            *published,
            published_at=work.now,
            published_by=work.actor.id,
            reason=reason,
        )
        work.insert(heads, *(_head(e) for e in published if e.version == 1))
        for entry, before in versions:
            if before is not None:
                work.update(heads, before=_head(before), after=_head(entry))
        for entry in published:
            work.publish(EntryPublished(entry=entry))
        return published


def _makes_version(draft: Draft, found: Difference) -> bool:
    """Unchanged drafts make none, unless one says again what a scheduled version would change."""
    return found.change is not Change.UNCHANGED or draft.replaces_scheduled


def _head(entry: Entry) -> Head:
    return Head(
        domain=entry.domain,
        code=entry.code,
        version=entry.version,
        code_upper=entry.code.upper(),
        name_zh=entry.name_zh,
        name_lower=entry.name_en.lower(),
        pinyin=entry.pinyin,
    )


def _in_force(read: Reading, domain: Domain, instant: Instant) -> Select[tuple[object, ...]]:
    """The versions of a domain in force at an instant: see ``Entry``."""
    later = entries.alias("later")
    return read.select(
        entries,
        Entry,
        entries.c.valid_from <= instant,
        entries.c.is_retired.is_(False),
        or_(entries.c.valid_to.is_(None), entries.c.valid_to > instant),
        ~exists().where(
            later.c.domain == entries.c.domain,
            later.c.code == entries.c.code,
            later.c.version > entries.c.version,
            later.c.valid_from <= instant,
        ),
        domain=domain,
    )


_NO_MATCH = 9


def _closeness(words: str) -> ColumnElement[int]:
    """0 the code itself … 5 somewhere in the English name; 9 nowhere."""
    upper, lower = words.upper(), words.lower()
    return case(
        (heads.c.code_upper == upper, 0),
        (heads.c.pinyin.startswith(upper, autoescape=True), 1),
        (heads.c.code_upper.startswith(upper, autoescape=True), 1),
        (heads.c.name_zh.startswith(words, autoescape=True), 2),
        (heads.c.name_zh.contains(words, autoescape=True), 3),
        (heads.c.pinyin.contains(upper, autoescape=True), 4),
        (heads.c.name_lower.contains(lower, autoescape=True), 5),
        else_=_NO_MATCH,
    )


def _latest(read: Reading, domain: Domain, drafts: tuple[Draft, ...]) -> Mapping[str, Entry]:
    """The latest version of every code that is being published, in force or not."""
    statement = (
        read.select(entries, Entry, domain=domain, code=tuple(draft.code for draft in drafts))
        .join(
            heads,
            and_(
                heads.c.domain == entries.c.domain,
                heads.c.code == entries.c.code,
                heads.c.version == entries.c.version,
            ),
        )
        .limit(DRAFTS_MAX)
    )
    return {entry.code: entry for entry in messages(read.rows(statement), Entry)}


def _is_known(read: Reading, domain: Domain, code: str) -> bool:
    return read.get_or_none(heads, Head, (domain, code)) is not None


def _check_codes(read: Reading, domain: Domain, drafts: tuple[Draft, ...]) -> None:
    if domain not in CHARGED or not drafts:
        return
    codes = tuple(draft.code for draft in drafts)
    taken = read.first(charge_codes, ChargeCode, charge_codes.c.domain != domain, code=codes)
    if taken is not None:
        raise CodeTaken(entry=taken.code, domain=taken.domain)


def _claim_codes(work: Work, domain: Domain, drafts: list[Draft]) -> None:
    """A code that costs money belongs to one domain; its primary key decides a race."""
    if domain not in CHARGED or not drafts:
        return
    _check_codes(work, domain, tuple(drafts))
    work.insert(charge_codes, *(ChargeCode(code=d.code, domain=domain) for d in drafts))


def _last_sequence(read: Reading, domain: Domain) -> int:
    last = read.first(entries, Entry, order_by="-sequence", domain=domain)
    return last.sequence if last else 0

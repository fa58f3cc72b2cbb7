"""The rules of the catalogue: pure functions, no database, no clock."""

import re
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from hashlib import blake2b

import msgspec
from pypinyin import Style, lazy_pinyin

from plugward.kit.money import ZERO, UnitPrice
from plugward.kit.time import Instant

from .contract import (
    Change,
    Difference,
    Domain,
    Draft,
    DraftFault,
    EffectiveInThePast,
    Entry,
    FieldChange,
    InsuranceShare,
    InvalidDraft,
    ScheduledVersion,
)

DRAFTS_MAX = 1_000
UNSEEN_DRAFTS_MAX = 20  # more than this in one publication must have been looked at

CHARGED = frozenset(
    {
        Domain.DRUG,
        Domain.LAB_ITEM,
        Domain.LAB_PANEL,
        Domain.EXAM_ITEM,
        Domain.TREATMENT,
        Domain.CONSUMABLE,
        Domain.CHARGE_ITEM,
        Domain.REGISTRATION_FEE,
    }
)

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,31}")
_COMPARED = (
    "name_zh",
    "name_en",
    "attributes",
    "unit",
    "price",
    "insurance",
    "valid_to",
)
_SHOWN_MAX = 400


def pinyin_initials(name: str) -> str:
    """What a clerk types for a Chinese name: 氨氯地平片 5mg → ALDPP5MG."""
    parts = lazy_pinyin(name, style=Style.FIRST_LETTER)
    return "".join(c for part in parts for c in part if c.isascii() and c.isalnum()).upper()[:200]


def check_drafts(domain: Domain, drafts: tuple[Draft, ...]) -> None:
    """Refuse with ``InvalidDraft`` what cannot be published whatever the catalogue says."""
    if len(drafts) > DRAFTS_MAX:
        raise InvalidDraft(entry=drafts[DRAFTS_MAX].code, fault=DraftFault.TOO_MANY)
    for code, times in Counter(draft.code for draft in drafts).items():
        if times > 1:
            raise InvalidDraft(entry=code, fault=DraftFault.TWICE)
    for draft in drafts:
        fault = _fault(domain, draft)
        if fault is not None:
            raise InvalidDraft(entry=draft.code, fault=fault)


def _fault(domain: Domain, draft: Draft) -> DraftFault | None:
    faults = {
        DraftFault.CODE: not _CODE.fullmatch(draft.code),
        DraftFault.NAME: not draft.name_zh.strip(),
        DraftFault.PRICE_MISSING: domain in CHARGED and draft.price is None,
        DraftFault.NOT_CHARGED: domain not in CHARGED
        and not (draft.price is None and draft.insurance is None),
        DraftFault.PRICE_NEGATIVE: draft.price is not None and draft.price.yuan < 0,
        DraftFault.SHARE: draft.insurance is not None and not _is_share(draft.insurance),
        DraftFault.PERIOD: draft.valid_from is not None
        and draft.valid_to is not None
        and draft.valid_to <= draft.valid_from,
    }
    return next((fault for fault, is_so in faults.items() if is_so), None)


def _is_share(share: InsuranceShare) -> bool:
    whole = Decimal(1)
    return (
        0 <= share.self_ratio <= whole
        and 0 <= share.fund_ratio <= whole
        and (share.supplement >= ZERO)
    )


def difference(draft: Draft, latest: Entry | None) -> Difference:
    """A draft against the latest version of its entry."""
    if latest is None:
        return Difference(code=draft.code, change=Change.NEW, changes=())
    fields = tuple(
        FieldChange(field=name, before=_shown(old), after=_shown(new))
        for name in _COMPARED
        if (old := getattr(latest, name)) != (new := getattr(draft, name))
    )
    change = Change.CHANGED if fields else Change.UNCHANGED
    if latest.is_retired:
        change = Change.REVIVED
    return Difference(code=draft.code, change=change, changes=fields)


def _shown(value: object) -> str:
    """One side of a difference as a person reads it."""
    if value is None or value == ():
        return ""
    if isinstance(value, tuple):
        return "; ".join(f"{a.name}={a.value}" for a in value)[:_SHOWN_MAX]
    if isinstance(value, str | UnitPrice):
        return str(value)[:_SHOWN_MAX]
    return msgspec.json.encode(value).decode()[:_SHOWN_MAX]


def digest_of(differences: Iterable[Difference]) -> str:
    """Names exactly these differences; somebody who saw them can say so."""
    return blake2b(msgspec.msgpack.encode(tuple(differences)), digest_size=16).hexdigest()


def start_of(draft: Draft, latest: Entry | None, now: Instant) -> Instant:
    """From when the draft takes effect, or the refusal."""
    start = draft.valid_from or now
    if latest is None:
        return start
    if start < now:
        raise EffectiveInThePast(entry=draft.code)
    if latest.valid_from > start and not draft.replaces_scheduled:
        raise ScheduledVersion(entry=draft.code, valid_from=latest.valid_from)
    return start


def entry_of(domain: Domain, draft: Draft, latest: Entry | None, start: Instant) -> Entry:
    """The next version of an entry. Its place in the change log is given when it is written."""
    return Entry(
        domain=domain,
        code=draft.code,
        version=latest.version + 1 if latest else 1,
        sequence=0,
        name_zh=draft.name_zh,
        name_en=draft.name_en,
        pinyin=pinyin_initials(draft.name_zh),
        attributes=draft.attributes,
        unit=draft.unit,
        price=draft.price,
        insurance=draft.insurance,
        valid_from=start,
        valid_to=draft.valid_to,
    )


def in_force(versions: Iterable[Entry], instant: Instant) -> Entry | None:
    """The version in force at an instant, among the versions of one entry."""
    begun = [version for version in versions if version.valid_from <= instant]
    latest = max(begun, key=lambda version: version.version, default=None)
    if latest is None or latest.is_retired:
        return None
    if latest.valid_to is not None and latest.valid_to <= instant:
        return None
    return latest

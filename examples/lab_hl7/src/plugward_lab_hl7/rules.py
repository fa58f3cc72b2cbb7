"""The rules of this board: pure functions, no database, no clock."""

from hashlib import sha256

from plugward.boards.lab.contract import Flag, LabRequest, Report, RequestState
from plugward.boards.orders.contract import OrderGroup
from plugward.kernel import Lifecycle
from plugward.kit.message import Plain
from plugward.vocabulary import OrderKind

REQUEST_LIFE = Lifecycle(
    {
        RequestState.REQUESTED: {RequestState.COLLECTED, RequestState.CANCELLED},
        RequestState.COLLECTED: {RequestState.REPORTED},
        RequestState.REPORTED: {RequestState.COLLECTED},
        RequestState.CANCELLED: set(),
    }
)
CRITICAL = (Flag.CRITICAL_LOW, Flag.CRITICAL_HIGH)
QUIET = (Flag.NORMAL, Flag.NOT_JUDGED)
PLACER_DIGITS = 8


def codes_of(setting: str) -> dict[Plain, Plain]:
    """``L0162=UACR;L0026=GHB1``: our item → the other system's code."""
    pairs = (pair.split("=", 1) for pair in setting.split(";") if "=" in pair)
    return {ours.strip(): theirs.strip() for ours, theirs in pairs}


def requests_of(group: OrderGroup) -> tuple[LabRequest, ...]:
    """The laboratory's part of a signed group."""
    return tuple(
        LabRequest(
            id=line.id,
            group=group.id,
            encounter=group.encounter,
            patient=group.patient,
            campus=group.campus,
            department=group.department,
            author=group.author,
            item=line.item,
            name_zh=line.name_zh,
            name_en=line.name_en,
            is_urgent=line.is_urgent,
            indication=group.indication,
            signed_at=group.signed_at,
            state=RequestState.REQUESTED,
        )
        for line in group.lines
        if line.kind is OrderKind.LAB
    )


def placer_number(campus: str, number: int) -> Plain:
    """Twelve characters at most: ``C2Q00000017``."""
    return f"{campus[:3]}Q{number:0{PLACER_DIGITS}d}"


def may_start(request: LabRequest, *, pay_first: bool) -> bool:
    """Whether it may be sent now: urgent and credited requests never wait for money."""
    return not pay_first or request.is_paid or request.is_credited or request.is_urgent


def content_hash(report: Report) -> str:
    """A digest of what a reader acts on: it shows that a report has never changed."""
    parts = [str(report.specimen), str(report.version), str(report.patient)]
    parts += [f"{r.item}={r.value}{r.unit}{r.flag.value}" for r in report.results]
    return sha256("\n".join(parts).encode()).hexdigest()

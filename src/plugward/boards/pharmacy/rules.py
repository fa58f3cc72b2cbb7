"""The rules of handing out drugs: pure functions, no database, no clock."""

from collections.abc import Sequence
from datetime import date

from plugward.kernel import Lifecycle

from .contract import (
    HeldBatch,
    LineState,
    NotAllScanned,
    PrescriptionLine,
    ScanOutcome,
    TaskState,
)

LINES = Lifecycle(
    {
        LineState.SIGNED: {LineState.RESERVED, LineState.PAID, LineState.WITHDRAWN},
        LineState.RESERVED: {LineState.SIGNED, LineState.PAID, LineState.WITHDRAWN},
        LineState.PAID: {LineState.DISPENSED, LineState.UNSUPPLIED, LineState.WITHDRAWN},
        LineState.DISPENSED: {LineState.RETURNED},
        LineState.RETURNED: set(),
        LineState.UNSUPPLIED: set(),
        LineState.WITHDRAWN: set(),
    }
)

TASKS = Lifecycle(
    {
        TaskState.TO_PICK: {
            TaskState.PICKED,
            TaskState.CALLED,
            TaskState.SUSPENDED,
            TaskState.CLOSED,
        },
        TaskState.PICKED: {TaskState.CALLED, TaskState.SUSPENDED, TaskState.CLOSED},
        TaskState.CALLED: {
            TaskState.CALLED,
            TaskState.DISPENSED,
            TaskState.MISSED,
            TaskState.SUSPENDED,
            TaskState.CLOSED,
        },
        TaskState.MISSED: {TaskState.CALLED, TaskState.SUSPENDED, TaskState.CLOSED},
        TaskState.SUSPENDED: {TaskState.PICKED, TaskState.CALLED, TaskState.CLOSED},
        TaskState.DISPENSED: set(),
        TaskState.CLOSED: set(),
    }
)

SCANNED_IN = frozenset({TaskState.TO_PICK, TaskState.PICKED, TaskState.CALLED})
PAYABLE = frozenset({LineState.SIGNED, LineState.RESERVED})

# 麻醉、精神一类、精神二类: as the drug catalogue classes them.
CONTROLLED_CLASSES = frozenset({"麻醉", "精一", "精二"})


def number_text(number: int) -> str:
    """What the patient holds in hand: Y118."""
    return f"Y{number:03d}"


def rest_state(line: PrescriptionLine) -> LineState:
    """The state of a paid line after something of it was given up."""
    if line.open:
        return line.state
    return LineState.DISPENSED if line.dispensed else LineState.UNSUPPLIED


def give_up(
    line: PrescriptionLine, quantity: int, state: LineState | None = None
) -> PrescriptionLine:
    """The line after ``quantity`` of what is open will never be handed out."""
    less = line.replace(
        open=line.open - quantity,
        given_up=line.given_up + quantity,
        scanned=min(line.scanned, line.open - quantity),
    )
    to = state if state is not None and not less.open and not less.dispensed else rest_state(less)
    if to is not less.state:
        LINES.check(less.state, to)
    return less.replace(state=to)


def expected(lines: Sequence[PrescriptionLine]) -> PrescriptionLine | None:
    """The row whose turn it is: the first with packs not yet scanned."""
    return next((line for line in lines if line.scanned < line.open), None)


def judge(
    lines: Sequence[PrescriptionLine], item: str, batch_no: str, today: date
) -> tuple[ScanOutcome, PrescriptionLine | None]:
    """What a scanned pack is, and the row it counts for or is blocked in."""
    own = [line for line in lines if line.item == item and line.open]
    if not own:
        return ScanOutcome.WRONG_DRUG, expected(lines)
    wanting = next((line for line in own if line.scanned < line.open), None)
    if wanting is None:
        return ScanOutcome.ONE_TOO_MANY, own[0]
    if batch_no:
        batch = next((b for b in wanting.batches if b.batch_no == batch_no), None)
        if batch is None:
            return ScanOutcome.WRONG_BATCH, wanting
        if batch.expires_on < today:
            return ScanOutcome.EXPIRED, wanting
    return ScanOutcome.RIGHT, wanting


def check_all_scanned(lines: Sequence[PrescriptionLine]) -> None:
    missing = sum(line.open - line.scanned for line in lines)
    if missing:
        raise NotAllScanned(missing=missing)


def expired_batch(line: PrescriptionLine, today: date) -> HeldBatch | None:
    """A held batch that may not be handed out any more."""
    return next((batch for batch in line.batches if batch.expires_on < today), None)

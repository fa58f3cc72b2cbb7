"""Returns 退药: unopened packs come back, on a document of their own."""

from plugward.kernel import Work

from ..contract import (
    DrugReturn,
    LineState,
    NothingChosen,
    NothingToReturn,
    PrescriptionLine,
    PrescriptionReturned,
    ReturnedLine,
    TakeBack,
)
from ..rules import LINES
from ..tables import drug_returns, lines
from .dispensing import lines_of, task_of


def take_back(work: Work, request: TakeBack) -> DrugReturn:
    """Take packs back, each no more often than it was handed out."""
    earlier = work.get_or_none(drug_returns, DrugReturn, request.id)
    if earlier is not None:
        return earlier
    if not request.lines or any(part.quantity < 1 for part in request.lines):
        raise NothingChosen
    task = task_of(work, request.task)
    known = {line.id: line for line in lines_of(work, task.id)}
    returned = []
    for part in sorted(request.lines, key=lambda part: part.line.bytes):
        line = known.get(part.line)
        if line is None:
            raise NothingToReturn(line=part.line, name="", left=0)
        known[line.id] = _take(work, line, part.quantity)
        returned.append(
            ReturnedLine(
                line=line.id,
                item=line.item,
                name_zh=line.name_zh,
                quantity=part.quantity,
                reservation=line.reservation,
            )
        )
    document = DrugReturn(
        id=request.id,
        task=task.id,
        encounter=task.encounter,
        patient=task.patient,
        campus=task.campus,
        lines=tuple(returned),
        reason=request.reason,
        approved_by=request.approved_by,
        taken_by=work.actor.id,
        at=work.now,
    )
    work.insert(drug_returns, document)
    work.publish(PrescriptionReturned(document=document))
    return document


def _take(work: Work, line: PrescriptionLine, quantity: int) -> PrescriptionLine:
    if quantity > line.returnable:
        raise NothingToReturn(line=line.id, name=line.name_zh, left=line.returnable)
    back = line.replace(returned=line.returned + quantity, returnable=line.returnable - quantity)
    if not back.returnable and not back.open:
        LINES.check(back.state, LineState.RETURNED)
        back = back.replace(state=LineState.RETURNED)
    # Two returns at once: the second finds the row changed and is refused.
    work.update(lines, before=line, after=back)
    return back

"""The pharmacy for other boards' tests: it holds whatever it is asked to, unless told otherwise."""

from plugward.vocabulary import BillId, OrderLineId

from .contract import (
    AlreadyDispensed,
    GiveUp,
    LineQuantity,
    OutOfStock,
    Pharmacy,
    PrescriptionLine,
    ReservedLines,
    ReserveLines,
)


class FakePharmacy(Pharmacy):
    """``short`` lines are out of stock; ``dispensed`` lines are in the patient's hands."""

    def __init__(self) -> None:
        self.short: set[OrderLineId] = set()
        self.dispensed: set[OrderLineId] = set()
        self.reserved: dict[BillId, tuple[OrderLineId, ...]] = {}
        self.given_up: dict[OrderLineId, int] = {}

    async def reserve(self, request: ReserveLines) -> ReservedLines:
        for line in request.lines:
            if line in self.short:
                raise OutOfStock(item="D0034", name="苯磺酸氨氯地平片", wanted=2, available=0)
        self.reserved[request.bill] = request.lines
        held = tuple(LineQuantity(line=line, quantity=1) for line in request.lines)
        return ReservedLines(bill=request.bill, lines=held, until=None)

    async def give_up(self, request: GiveUp) -> tuple[PrescriptionLine, ...]:
        for wanted in request.lines:
            if wanted.line in self.dispensed:
                raise AlreadyDispensed(line=wanted.line, name="苯磺酸氨氯地平片", left=0)
        for wanted in request.lines:
            earlier = self.given_up.get(wanted.line, 0)
            self.given_up[wanted.line] = max(earlier, wanted.quantity)
        return ()

"""Laboratory by HL7 外部检验系统, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import interop, proofs, reactions
from .contract import LabHl7
from .service import LabHl7Service
from .tables import tables

board = Board(
    contract=LabHl7,
    service=LabHl7Service,
    tables=tables,
    reactions=[
        reactions.take_over_the_requests,
        reactions.cancel_a_withdrawn_request,
        reactions.let_paid_requests_start,
        reactions.hold_refunded_requests,
        reactions.credit_an_arriving_emergency,
        reactions.credit_a_started_emergency,
    ],
    jobs=[reactions.escalate_what_nobody_acknowledged],
    proofs=[
        proofs.reports_never_change,
        proofs.one_version_stands,
        proofs.every_request_has_a_code,
    ],
    interop=[interop.request_tests, interop.cancel_test, interop.take_reports],
)

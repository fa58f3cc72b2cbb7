"""Laboratory 检验, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, interop, pages, proofs, reactions
from .contract import Lab
from .service import LabService
from .tables import tables

board = Board(
    contract=Lab,
    service=LabService,
    tables=tables,
    reactions=[
        reactions.take_over_the_requests,
        reactions.cancel_a_withdrawn_request,
        reactions.let_paid_requests_start,
        reactions.stop_refunded_requests,
        reactions.credit_an_arriving_emergency,
        reactions.credit_a_started_emergency,
        reactions.learn_the_catalogue,
        reactions.know_a_new_patient,
        reactions.know_a_changed_patient,
    ],
    jobs=[reactions.escalate_what_nobody_acknowledged],
    pages=[
        pages.collection,
        pages.collect,
        pages.credit,
        pages.worklist,
        pages.receive,
        pages.reject,
        pages.enter,
        pages.issue,
        pages.report,
        pages.withdraw,
        pages.notice,
        pages.critical_list,
        pages.critical,
        pages.acknowledge,
    ],
    home=[pages.at_home],
    facts=[
        facts.issued_report,
        facts.withdrawn_report,
        facts.rejected_specimen,
        facts.raised_critical,
        facts.escalated_critical,
        facts.acknowledged_critical,
    ],
    proofs=[proofs.reports_never_change, proofs.one_version_stands, proofs.void_values_are_cleared],
    interop=[
        interop.take_results,
        interop.send_report,
        interop.send_withdrawal,
        interop.laboratory_report,
    ],
)

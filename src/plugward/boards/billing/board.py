"""Billing 收费, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, proofs, reactions, sagas
from .contract import Billing
from .pages import closing, counter, refunds
from .service import BillingService
from .tables import tables

board = Board(
    contract=Billing,
    service=BillingService,
    tables=tables,
    reactions=[
        reactions.await_a_price,
        reactions.put_on_the_account,
        reactions.take_off_the_account,
        reactions.await_no_longer,
        reactions.await_no_fee,
        reactions.owe_for_a_lost_number,
        reactions.keep_what_is_being_measured,
        reactions.owe_for_returned_drugs,
        reactions.owe_for_unsupplied_drugs,
        reactions.know_a_planned_visit,
        reactions.know_an_arrived_visit,
        reactions.keep_the_fee_of_a_seen_patient,
        reactions.know_a_new_patient,
        reactions.know_a_patient_better,
    ],
    jobs=[reactions.end_unpaid_bills, reactions.refund_by_itself],
    sagas=[sagas.CHARGE, sagas.REFUND, sagas.UNDO],
    pages=[
        counter.cashier,
        counter.pay,
        counter.void,
        counter.receipt,
        counter.replace_receipt,
        refunds.refunds,
        refunds.refund,
        closing.unresolved,
        closing.ask,
        closing.reverse,
        closing.day,
        closing.close_day,
    ],
    home=[closing.billing_home],
    facts=[facts.settled_line, facts.settled_leg, facts.refunded_line, facts.refunded_leg],
    proofs=[
        proofs.bills_add_up,
        proofs.undecided_money_is_followed,
        proofs.refunds_stay_within_bounds,
        proofs.every_charge_is_in_one_state,
        proofs.numbers_have_no_gaps,
    ],
)

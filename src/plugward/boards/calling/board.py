"""Calling 智能呼叫, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, pages, proofs, reactions
from .contract import Calling
from .service import CallingService
from .tables import tables

board = Board(
    contract=Calling,
    service=CallingService,
    tables=tables,
    reactions=[
        reactions.open_a_desk,
        reactions.close_a_desk,
        reactions.issue_a_ticket,
        reactions.close_a_stopped_ticket,
        reactions.note_a_started_visit,
        reactions.note_a_finished_visit,
        reactions.close_a_cancelled_ticket,
    ],
    pages=[
        pages.hall_screen,
        pages.hall,
        pages.rejoin,
        pages.come_back,
    ],
    facts=[
        facts.issued_ticket,
        facts.called_ticket,
        facts.served_ticket,
        facts.missed_ticket,
        facts.rejoined_ticket,
        facts.closed_ticket,
    ],
    proofs=[
        proofs.one_ticket_a_visit,
        proofs.no_two_numbers_alike,
        proofs.whoever_is_called_has_a_doctor,
        proofs.every_ticket_names_its_patient,
    ],
)

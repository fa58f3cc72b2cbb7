"""Registration 挂号, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, pages, proofs, reactions
from .contract import Registrations
from .service import RegistrationService
from .tables import tables

board = Board(
    contract=Registrations,
    service=RegistrationService,
    tables=tables,
    reactions=[
        reactions.note_a_paid_fee,
        reactions.note_a_seen_patient,
        reactions.copy_a_fee,
    ],
    jobs=[reactions.release_unpaid_numbers],
    pages=[
        pages.desk,
        pages.today_list,
        pages.arrive,
        pages.check_in,
        pages.cancel,
        pages.newcomer,
    ],
    home=[pages.registration_home],
    facts=[
        facts.published_clinic,
        facts.stopped_clinic,
        facts.booked_number,
        facts.paid_number,
        facts.reinstated_number,
        facts.checked_in_number,
        facts.moved_number,
        facts.stopped_number,
        facts.cancelled_number,
    ],
    proofs=[
        proofs.numbers_add_up,
        proofs.one_number_a_person_and_clinic,
        proofs.every_appointment_names_its_patient,
        proofs.a_hold_has_an_end,
    ],
)

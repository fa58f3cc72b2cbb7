"""Encounters 就诊, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, interop, proofs, reactions
from .contract import Encounters
from .service import EncounterService
from .tables import tables

board = Board(
    contract=Encounters,
    service=EncounterService,
    tables=tables,
    reactions=[
        reactions.plan_a_booked_visit,
        reactions.plan_a_visit_again,
        reactions.plan_a_moved_visit,
        reactions.note_an_arrival,
        reactions.take_an_arrival_back,
        reactions.call_a_visit_off,
        reactions.begin_a_visit,
    ],
    facts=[
        facts.planned_visit,
        facts.arrived_visit,
        facts.started_visit,
        facts.finished_visit,
        facts.cancelled_visit,
    ],
    proofs=[
        proofs.every_visit_names_its_patient,
        proofs.times_follow_the_state,
        proofs.one_encounter_an_appointment,
    ],
    interop=[interop.open_visit, interop.visit_is_known, interop.visit_of_document],
)

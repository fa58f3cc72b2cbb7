"""Patients 患者主索引, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, interop, pages, proofs, reactions
from .contract import Patients
from .service import PatientService
from .tables import tables

board = Board(
    contract=Patients,
    service=PatientService,
    tables=tables,
    reactions=[
        reactions.note_an_arrival,
        reactions.note_a_start,
        reactions.note_an_end,
        reactions.forget_a_visit,
        reactions.note_a_note,
        reactions.note_a_report,
        reactions.forget_a_report,
    ],
    pages=[
        pages.find,
        pages.person,
        pages.duplicates,
        pages.merge,
        pages.dismiss,
        pages.unmerge,
    ],
    home=[pages.steward_home],
    facts=[
        facts.registered_patient,
        facts.updated_patient,
        facts.merged_patient,
        facts.unmerged_patient,
    ],
    proofs=[
        proofs.everything_names_its_author,
        proofs.everybody_was_sent_by_somebody,
        proofs.links_lead_to_one_leader,
    ],
    interop=[
        interop.register_person,
        interop.update_person,
        interop.merge_persons,
        interop.person_of_document,
    ],
)

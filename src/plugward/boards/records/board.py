"""Records 电子病历, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, interop, pages, proofs, reactions
from .contract import Records
from .service import RecordService
from .tables import tables

board = Board(
    contract=Records,
    service=RecordService,
    tables=tables,
    reactions=[reactions.learn_the_diagnoses],
    pages=[pages.note_versions],
    facts=[facts.signed_note, facts.noted_diagnoses],
    interop=[interop.outpatient_record],
    proofs=[proofs.signed_versions_never_change, proofs.notes_name_whom_they_are_about],
)

"""Clinic 门诊医生站, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import reactions
from .contract import Clinic
from .pages import basket, context, notes, signing, workstation
from .service import ClinicService
from .tables import tables

board = Board(
    contract=Clinic,
    service=ClinicService,
    tables=tables,
    reactions=[reactions.learn_who_is_one_person, reactions.learn_who_is_two],
    jobs=[reactions.clear_old_desks],
    pages=[
        workstation.workstation,
        workstation.visit,
        workstation.queue_panel,
        workstation.call_next,
        workstation.recall,
        workstation.arrived,
        workstation.missed,
        workstation.banner,
        workstation.finish,
        workstation.recent,
        notes.note,
        notes.keep_draft,
        notes.reuse,
        notes.correct,
        notes.diagnosis_hits,
        notes.add_diagnosis,
        notes.remove_diagnosis,
        notes.make_main,
        basket.drugs,
        basket.tests,
        basket.item_hits,
        basket.pick,
        basket.add_drug,
        basket.add_test,
        basket.change_line,
        basket.remove_line,
        basket.withdraw_line,
        basket.offer_repeat,
        basket.repeat,
        signing.sign,
        signing.total,
        signing.amounts,
        signing.stock,
        signing.printed,
        context.timeline,
        context.medicines,
        context.reports,
        context.trend,
    ],
    home=[workstation.at_home],
)

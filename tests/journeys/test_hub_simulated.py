"""A simulated hospital around the hub: nothing lost, nothing out of order, whatever goes away."""

import msgspec
import pytest

from plugward.sim.hub.peers import Book, Manner, MllpReceiver, split
from plugward.sim.hub.run import Report, Wish, simulate
from plugward.sim.hub.senders import MllpSender


def test_the_library_and_the_cutting_at_delimiters_read_the_same() -> None:
    """Two strangers' readings of one message."""
    sender = MllpSender("A001", [("V001", "r000")], seed=1)
    raw = sender.written("A001-0000001", "V001", "A001P07")[1:-2]
    by_library = MllpReceiver("r", Manner(library="hl7"))._read
    assert split(raw) == by_library(raw) == ("A001-0000001", "A001P07")


def test_a_receiver_that_knows_its_ids_counts_a_repeat_and_keeps_its_order() -> None:
    book = Book()
    for id_ in ("1", "2", "1", "3"):
        book.note(id_, "P")
    assert (book.order, book.repeated) == ({"P": ["1", "2", "3"]}, 1)


@pytest.mark.parametrize("wrong", ["lost", "reordered", "unknown"])
async def test_a_report_with_anything_wrong_does_not_hold(wrong: str) -> None:
    told = {name: 0 for name in Report.__struct_fields__}
    whole = Report(**{**told, "protocols": {}, "libraries": (), "down": ""})
    assert whole.holds
    assert not msgspec.structs.replace(whole, **{wrong: 1}).holds
    assert not msgspec.structs.replace(whole, ledger_messages=1).holds


@pytest.mark.full
async def test_138_systems_lose_nothing_while_a_receiver_is_away() -> None:
    """138 个系统、771 个服务：一方断开再恢复，零丢失、同一患者零乱序。"""
    report = await simulate(Wish(rate=200.0, minutes=0.15))
    assert (report.systems, report.services) == (138, 771)
    assert report.libraries == ("hl7",)
    assert (report.lost, report.reordered, report.unknown) == (0, 0, 0)
    assert report.acknowledged == report.received == report.ledger_messages
    assert (report.ledger_pending, report.ledger_dead) == (0, 0)
    assert report.down_s >= 2
    assert report.holds

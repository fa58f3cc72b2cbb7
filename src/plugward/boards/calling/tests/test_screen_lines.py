"""The hall's screen has one line a room, however many sessions its doctor has today."""

from plugward.boards.calling.contract import ScreenRoom, ScreenTicket
from plugward.boards.calling.pages import _one_a_room


def _room(room: str, *waiting: str, now: str = "") -> ScreenRoom:
    return ScreenRoom(
        room=room,
        doctor_name="林予安",
        doctor_title="副主任医师",
        now=ScreenTicket(number=now, masked_name="周*民") if now else None,
        next=tuple(ScreenTicket(number=number, masked_name="沈*兰") for number in waiting),
        wait_minutes=10 * len(waiting),
        is_calling=bool(now),
    )


def test_the_sessions_of_a_doctor_make_one_line() -> None:
    """林予安上午、下午两个单元同一诊室：一行，正在就诊与候诊都在。"""
    lines = _one_a_room((_room("1", now="A001"), _room("1", "B001", "B002"), _room("2", "C001")))
    assert [line.room for line in lines] == ["1", "2"]
    assert lines[0].now is not None
    assert [ticket.number for ticket in lines[0].next] == ["B001", "B002"]
    assert (lines[0].wait_minutes, lines[0].is_calling) == (20, True)

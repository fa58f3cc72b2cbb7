"""Ward, plugged together."""

from datetime import date

from plugward.kernel import Board, Identifying, Message, Plain, Store, Work, fact, in_work
from plugward.kit.money import Money
from plugward.kit.time import Instant, hospital_date
from plugward.vocabulary import CampusCode

from .contract import RoomOpened, Stay, StayBegun, StayEnded, StayId, Ward

BROKEN = "broken"  # a room no fact can be made of
ENORMOUS = "enormous"  # a room whose meals fit no column
failing = {BROKEN}


class WardService(Ward):
    def __init__(self, store: Store) -> None:
        self.store = store

    @in_work
    def begin(self, work: Work, stay: Stay) -> StayId:
        work.publish(StayBegun(stay=stay))
        return stay.id

    @in_work
    def end(self, work: Work, stay: Stay) -> StayId:
        work.publish(StayEnded(stay=stay))
        return stay.id

    @in_work
    def name_room(self, work: Work, code: Plain, name: Plain) -> Plain:
        work.publish(RoomOpened(code=code, name=name))
        return code


class StayRow(Message):
    stay: StayId
    campus: CampusCode
    day: date
    room: Plain
    patient_name: Identifying
    state: Plain
    began_at: Instant
    ended_at: Instant | None
    cost: Money


class MealRow(Message):
    stay: StayId
    number: int
    campus: CampusCode
    day: date
    size: int


def _row(stay: Stay, state: str) -> StayRow:
    if stay.room in failing:
        raise ValueError(f"a text that names {stay.patient_name}")
    return StayRow(
        stay=stay.id,
        campus=stay.campus,
        day=hospital_date(stay.began_at),
        room=stay.room,
        patient_name=stay.patient_name,
        state=state,
        began_at=stay.began_at,
        ended_at=stay.ended_at,
        cost=stay.cost,
    )


@fact(StayBegun, table="ward_stays", key=("stay",))
def begun_stay(event: StayBegun) -> StayRow:
    return _row(event.stay, "begun")


@fact(StayEnded, table="ward_stays", key=("stay",))
def ended_stay(event: StayEnded) -> StayRow:
    return _row(event.stay, "ended")


@fact(StayEnded, table="ward_meals", key=("stay", "number"))
def eaten_meals(event: StayEnded) -> tuple[MealRow, ...]:
    stay = event.stay
    size = 2**70 if stay.room == ENORMOUS else 1
    return tuple(
        MealRow(
            stay=stay.id,
            number=number,
            campus=stay.campus,
            day=hospital_date(stay.began_at),
            size=size,
        )
        for number in range(stay.meals)
    )


board = Board(contract=Ward, service=WardService, facts=[begun_stay, ended_stay, eaten_meals])

"""A contract that several boards answer: who is asked, and what becomes of several answers."""

from collections.abc import Callable
from typing import Any

import pytest

from plugward.boards.lab.contract import CriticalNotFound, Lab, ReportNotFound, SpecimenState
from plugward.boards.lab.fakes import FakeLab, a_report
from plugward.kernel.binding import Bindings, Here, partial_answers
from plugward.kernel.contracts import (
    Contract,
    ContractError,
    Merge,
    Route,
    command,
    contract,
    query,
)
from plugward.kernel.dispatch import Dispatcher, Transport
from plugward.kernel.envelope import acting_as
from plugward.kernel.manifest import Manifest
from plugward.kernel.refusals import NotAcrossCampuses, NotOffered, Unavailable
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_time
from plugward.vocabulary import CampusCode, EncounterId, PatientId, ReportId

C1, C2 = CampusCode("C1"), CampusCode("C2")
BOUND = Bindings.of({"C2": {"lab": "lab_hl7"}})
SHEN = PatientId(new_id())


class Provider:
    """An endpoint that runs a fake, or fails as it is told; remembers what it was asked."""

    def __init__(self, fake: Any) -> None:
        self.fake = fake
        self.asked: list[str] = []
        self.fails: dict[str, Callable[[], Exception]] = {}

    async def __call__(self, operation: Any, request: Any, envelope: Any) -> Any:
        del envelope
        self.asked.append(operation.full_name)
        if operation.name in self.fails:
            raise self.fails[operation.name]()
        arguments = [getattr(request, name) for name in operation.parameters]
        return await getattr(self.fake, operation.name)(*arguments)


class Two:
    """Our laboratory, and another vendor's at campus C2."""

    def __init__(self, transport: Transport = Transport.STRICT) -> None:
        self.dispatcher = Dispatcher(transport)
        self.dispatcher.bind(BOUND)
        self.ours, self.theirs = Provider(FakeLab()), Provider(FakeLab())
        self.dispatcher.attach("lab", self.ours)
        self.dispatcher.attach("lab_hl7", self.theirs)
        self.lab = self.dispatcher.client(Lab)


def report(campus: str, at: str) -> Any:
    made = a_report(SHEN, EncounterId(new_id()), id=ReportId(new_id()), issued_at=hospital_time(at))
    return made.replace(campus=CampusCode(campus))


@pytest.mark.parametrize("transport", list(Transport))
async def test_the_campus_that_a_request_names_decides_whoever_asks(transport: Transport) -> None:
    two = Two(transport)
    with acting_as(a_tester(campuses=("C1",))):
        await two.lab.worklist(C2, SpecimenState.COLLECTED)
        await two.lab.worklist(C1, SpecimenState.COLLECTED)
    assert (two.ours.asked, two.theirs.asked) == (["lab.worklist"], ["lab_hl7.worklist"])


async def test_a_request_that_names_none_goes_to_the_callers_campus() -> None:
    two = Two()
    with acting_as(a_tester(campuses=("C2",))):
        await two.lab.credit(EncounterId(new_id()), "胸痛")
    assert (two.ours.asked, two.theirs.asked) == ([], ["lab_hl7.credit"])


async def test_an_id_is_answered_by_whoever_knows_it() -> None:
    two = Two()
    there = two.theirs.fake.put(report("C2", "2026-03-01 10:00"))
    with acting_as(a_tester(campuses=("C1", "C2"))):
        assert await two.lab.report(there.id) == there
        assert two.ours.asked == ["lab.report"]  # the caller's campus first
        with pytest.raises(ReportNotFound):
            await two.lab.report(ReportId(new_id()))


async def test_while_one_does_not_answer_nobody_says_that_there_is_no_such_thing() -> None:
    two = Two()
    two.theirs.fails["report"] = lambda: Unavailable("lab_hl7", "link")
    with acting_as(a_tester()), pytest.raises(Unavailable) as away:
        await two.lab.report(ReportId(new_id()))
    assert away.value.board == "lab_hl7"


async def test_a_command_whose_end_is_unknown_is_not_tried_elsewhere() -> None:
    two = Two()
    two.theirs.fails["acknowledge"] = lambda: Unavailable("lab_hl7", "time-out")
    with acting_as(a_tester(campuses=("C2",))), pytest.raises(Unavailable):
        await two.lab.acknowledge(new_id())  # type: ignore[arg-type]  # any id
    assert two.ours.asked == []
    two.theirs.fails["acknowledge"] = lambda: Unavailable("lab_hl7", "unplugged")
    with acting_as(a_tester(campuses=("C2",))), pytest.raises(Unavailable):
        await two.lab.acknowledge(new_id())  # type: ignore[arg-type]  # any id
    assert two.ours.asked == ["lab.acknowledge"]


async def test_what_a_board_does_not_offer_is_refused_in_words_unless_another_one_knows_it() -> (
    None
):
    two = Two()
    two.theirs.fails["critical_value"] = lambda: NotOffered(by="lab_hl7")
    with acting_as(a_tester(campuses=("C1",))), pytest.raises(CriticalNotFound):
        await two.lab.critical_value(new_id())  # type: ignore[arg-type]  # any id
    with acting_as(a_tester(campuses=("C2",))), pytest.raises(NotOffered) as refused:
        await two.lab.critical_value(new_id())  # type: ignore[arg-type]  # any id
    assert refused.value.values.by == "lab_hl7"  # type: ignore[attr-defined]  # its field


async def test_answers_of_all_campuses_are_one_list_in_the_contracts_order_and_limit() -> None:
    two = Two()
    first = two.ours.fake.put(report("C1", "2026-03-01 08:00"))
    second = two.theirs.fake.put(report("C2", "2026-03-01 09:00"))
    third = two.ours.fake.put(report("C1", "2026-03-01 10:00"))
    two.theirs.fake.put(third)  # told by both: shown once
    with acting_as(a_tester()):
        found = await two.lab.reports_of((SHEN,))
        assert [line.id for line in found] == [third.id, second.id, first.id]
        assert [line.id for line in await two.lab.reports_of((SHEN,), limit=2)] == [
            third.id,
            second.id,
        ]


async def test_a_missing_campus_is_named_or_the_whole_question_is_unavailable() -> None:
    """没有应答的院区：要么指明，要么整个查询报不可用；绝不默默少报。"""
    two = Two()
    ours = two.ours.fake.put(report("C1", "2026-03-01 08:00"))
    two.theirs.fails["reports_of"] = lambda: Unavailable("lab_hl7", "link")
    with acting_as(a_tester()):
        with pytest.raises(Unavailable):
            await two.lab.reports_of((SHEN,))
        with partial_answers() as silent:
            found = await two.lab.reports_of((SHEN,))
        assert ([line.id for line in found], silent) == ([ours.id], {"C2"})
        two.ours.fails["reports_of"] = lambda: Unavailable("lab", "unplugged")
        with partial_answers(), pytest.raises(Unavailable):
            await two.lab.reports_of((SHEN,))


async def test_an_unplugged_adapter_leaves_the_other_campuses_alone() -> None:
    two = Two()
    two.dispatcher.detach("lab_hl7")
    with acting_as(a_tester()):
        await two.lab.worklist(C1, SpecimenState.COLLECTED)
        with pytest.raises(Unavailable) as away:
            await two.lab.worklist(C2, SpecimenState.COLLECTED)
    assert (away.value.board, away.value.reason) == ("lab_hl7", "unplugged")


async def test_a_question_to_all_without_a_way_to_merge_is_refused_in_words() -> None:
    made: list[Contract] = []

    @contract("stock")
    class Stock:
        """Stock of a shop."""

        @query(permission="stock.read", route=Route.ALL)
        async def left(self) -> int:
            """How much."""

    made.append(Stock.__contract__)  # type: ignore[attr-defined]  # written by @contract
    dispatcher = Dispatcher()
    dispatcher.bind(Bindings.of({"C2": {"stock": "other"}}))
    for board in ("stock", "other"):
        dispatcher.attach(board, Provider(object()))
    with acting_as(a_tester()), pytest.raises(NotAcrossCampuses):
        await dispatcher.client(Stock).left()


def test_only_tuples_of_every_campus_can_be_merged_and_commands_go_to_one() -> None:
    with pytest.raises(ContractError, match="only a tuple"):

        @contract("odd")
        class Odd:
            """Odd."""

            @query(permission="odd.read", route=Route.ALL, merge=Merge("id"))
            async def one(self) -> int:
                """One."""

    with pytest.raises(ContractError, match="one board"):
        command(permission="odd.do", route=Route.ALL)


def test_a_board_knows_at_which_campuses_it_does_the_work() -> None:
    ours, theirs, other = Here("lab", BOUND), Here("lab_hl7", BOUND), Here("orders", BOUND)
    assert [c in ours for c in ("C1", "C2", "C3")] == [True, False, True]
    assert [c in theirs for c in ("C1", "C2", "C3")] == [False, True, False]
    assert "C2" in other


def _manifest(name: str, version: str, implements: str = "", wanted: str = "") -> Manifest:
    return Manifest(
        name, name, name, "", version, (), "bronze", False, {}, {}, {}, {}, implements, wanted
    )


def test_bindings_that_cannot_work_are_told_in_words() -> None:
    boards = {
        "lab": _manifest("lab", "2.0.0"),
        "lab_hl7": _manifest("lab_hl7", "1.0.0", "lab", ">=1,<2"),
        "meals": _manifest("meals", "1.0.0"),
    }
    bindings = Bindings.of(
        {"C2": {"lab": "lab_hl7", "ward": "x"}, "C3": {"lab": "meals"}, "C4": {"lab": "nobody"}}
    )
    problems = [*bindings.problems(boards)]
    assert len(problems) == 4
    assert "here is 2.0.0" in problems[0]
    assert "meals implements no other board's contract" in problems[1]
    assert "no board is called nobody" in problems[2]
    assert "no board is called ward" in problems[3]

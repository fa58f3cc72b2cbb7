"""Every process has its share of the connections, and all shares together fit into the budget.

连接份额：所有进程加起来不超过预算；不够分时说清楚怎么办。
"""

from pathlib import Path

import msgspec
import pytest

from plugward.rack.folder import DataFolder, FolderError
from plugward.rack.place import PASSWORD, Place, keep_place, owner_of, place_of
from plugward.rack.supervisor.plan import Seat
from plugward.rack.supervisor.shares import (
    RESERVED,
    BudgetTooSmall,
    share_of,
    share_of_each_board,
)


def seats(count: int, *, boards: int = 1) -> list[Seat]:
    return [Seat(f"s{n}", tuple(f"b{n}_{m}" for m in range(boards))) for n in range(count)]


@pytest.mark.parametrize("count", range(1, 39))
@pytest.mark.parametrize("boards", [1, 3])
def test_the_sum_is_never_above_the_budget(count: int, boards: int) -> None:
    for budget in (20, 80):
        made = seats(count, boards=boards)
        try:
            each = share_of_each_board(made, budget)
        except BudgetTooSmall:
            assert RESERVED + count * (boards + 1) > budget
            continue
        assert each >= 1
        assert RESERVED + sum(share_of(seat, each) for seat in made) <= budget


def test_too_many_processes_are_told_what_to_do() -> None:
    with pytest.raises(BudgetTooSmall, match=r"40 processes need at least 84.*into groups"):
        share_of_each_board(seats(40), 80)


def test_a_password_comes_from_a_file_for_its_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text("se cret/@\n")
    place = Place("postgresql://owner@db.example:5433/his", str(file))
    file.chmod(0o644)
    with pytest.raises(FolderError, match=f"chmod 600 {file}"):
        owner_of(place)
    file.chmod(0o600)
    assert owner_of(place) == "postgresql://owner:se cret%2F%40@db.example:5433/his"
    monkeypatch.setenv(PASSWORD, "other")
    assert owner_of(msgspec.structs.replace(place, password_file="")).startswith(
        "postgresql://owner:other@"
    )


def test_a_hospital_does_not_change_its_place_by_itself(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.open()
    keep_place(folder, Place("postgresql"))
    assert place_of(folder) == Place("postgresql")
    keep_place(folder, Place("postgresql"))
    for other in (Place(), Place("mysql://db/his")):
        with pytest.raises(FolderError, match="is a hospital on postgresql"):
            keep_place(folder, other)
    folder.close()


def test_a_hospital_in_files_does_not_wake_up_empty_on_a_server(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.open()
    (folder.boards / "billing.sqlite").touch()
    with pytest.raises(FolderError, match="is a hospital in files"):
        keep_place(folder, Place("postgresql"))
    folder.close()

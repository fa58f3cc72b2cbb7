"""``plugward new-board`` writes a board that passes the checks and its own tests at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugward.cli.new_board import new_board

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of ours with the new board on the path."""
    return subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boards")
    assert new_board("lost_property", folder=folder, title="失物招领") == 0
    return folder / "lost_property"


def test_it_passes_the_check(made: Path) -> None:
    result = run(made, "plugward", "check", "plugward_lost_property")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "everything holds" in result.stdout


def test_its_own_tests_pass(made: Path) -> None:
    result = run(made, "pytest", "-q", "-p", "no:cacheprovider")
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout


def test_it_is_formatted_and_lints_clean_whatever_its_name_is(tmp_path: Path) -> None:
    for name in ("alpha", "lost_property", "zebra"):
        assert new_board(name, folder=tmp_path, title="新插板") == 0
    for command in (("format", "--check"), ("check",)):
        result = run(tmp_path, "ruff", *command, "--no-cache", ".")
        assert result.returncode == 0, result.stdout


def test_it_is_found_like_every_other_board(made: Path) -> None:
    text = (made / "pyproject.toml").read_text("utf-8")
    assert 'lost_property = "plugward_lost_property.board:board"' in text
    left = [p for p in made.rglob("*") if p.is_file() and "@" in p.name]
    assert left == []


@pytest.mark.parametrize("name", ["Lost", "lost-property", "1st", "", "a" * 40, "lost__property"])
def test_a_name_that_is_none_is_refused(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new_board(name, folder=tmp_path, title="新插板") == 2
    assert "no name for a board" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_is_there_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lost_property").mkdir()
    assert new_board("lost_property", folder=tmp_path, title="失物招领") == 2
    assert new_board("pricing", folder=tmp_path, title="物价") == 2
    printed = capsys.readouterr().out
    assert "exists already" in printed
    assert "There is a board pricing already" in printed

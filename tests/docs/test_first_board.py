"""The tutorial is typed along: its files, in an empty folder, are a board that passes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorials" / "your-first-board.md"
EXAMPLE = ROOT / "examples" / "meals"
BIN = Path(sys.executable).parent
FILE = re.compile(r"^`([\w./-]+\.\w+)`\n\n(`{3,})\w+\n(.*?)^\2$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def files_of(document: Path) -> dict[str, str]:
    """Every file the reader is asked to write."""
    return {path: text for path, _, text in FILE.findall(document.read_text("utf-8"))}


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder, and in it what the tutorial says."""
    folder = tmp_path_factory.mktemp("tutorial") / "meals"
    for path, text in files_of(TUTORIAL).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_shown_are_those_that_are_run_here() -> None:
    [shell] = SHELL.findall(TUTORIAL.read_text("utf-8"))
    assert shell.splitlines() == ["pip install -e .", "pytest", "plugward check plugward_meals"]


def test_the_boards_own_tests_pass(typed: Path) -> None:
    result = run(typed, "pytest", "-q", "-p", "no:cacheprovider")
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"\b\d{2,} passed", result.stdout)


def test_the_board_passes_the_check_with_the_grade_it_claims(typed: Path) -> None:
    result = run(typed, "plugward", "check", "plugward_meals")
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"✓ +meals 膳食 +1\.0\.0 +silver +silver", result.stdout)


def test_the_tutorial_and_the_example_are_the_same_board() -> None:
    """A reader who skips the typing gets the very same files."""
    told = files_of(TUTORIAL)
    skipped = {
        "src/plugward_meals/tests/__init__.py",
        "src/plugward_meals/py.typed",
        "contracts/meals.json",  # written by plugward check --export
    }
    example = {
        path.relative_to(EXAMPLE).as_posix(): path.read_text("utf-8")
        for path in EXAMPLE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sorted(set(example) - set(told) - skipped) == []
    assert {path: text for path, text in told.items() if example.get(path) != text} == {}

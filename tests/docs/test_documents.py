"""Documents that are wrong are worse than none: links, commands and figures are checked."""

import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from plugward.cli.main import app

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "plugward"
SKIPPED = {".venv", ".git", "node_modules", "plugward-data", "data", "build", "dist"}
DOCUMENTS = sorted(
    path for path in ROOT.rglob("*.md") if not SKIPPED & set(path.relative_to(ROOT).parts)
)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
BOARDS = sorted(path.parent for path in SOURCE.glob("*/*/board.toml"))


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_every_link_leads_somewhere(document: Path) -> None:
    prose = re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)
    broken = [
        link
        for link in LINK.findall(prose)
        if "://" not in link and not link.startswith("mailto:")
        if not (document.parent / link).exists()
    ]
    assert broken == []


def test_every_make_target_that_is_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    shown_targets = {
        target
        for document in DOCUMENTS
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text("utf-8"), re.M)
    }
    assert {"up", "test"} <= shown_targets
    assert shown_targets <= targets


def test_every_plugward_command_that_is_shown_exists() -> None:
    known = set(getattr(get_command(app), "commands", {}))
    commands = {
        command
        for document in DOCUMENTS
        for command in re.findall(
            r"(?:^|`|bin/)plugward ([a-z][a-z-]+)", document.read_text("utf-8"), re.M
        )
    }
    assert commands
    assert commands <= known


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.name)
def test_every_board_tells_its_process(board: Path) -> None:
    """In its README: the permissions it grants and what happens while a needed board is away."""
    text = (board / "README.md").read_text("utf-8")
    manifest = tomllib.loads((board / "board.toml").read_text("utf-8"))
    assert manifest["board"]["title"] in text
    needs = manifest.get("needs", {})
    assert [need for need in needs if need not in text] == []


def test_decisions_are_numbered_once_and_listed() -> None:
    folder = ROOT / "docs" / "adr"
    files = sorted(path.name for path in folder.glob("[0-9]*.md"))
    numbers = [name[:4] for name in files]
    assert len(set(numbers)) == len(numbers)
    index = re.findall(r"^\| (\d{4}) \| \[[^]]+\]\(([^)]+)\) \|$", _index(folder), re.MULTILINE)
    assert index == [(name[:4], name) for name in files]
    for name in files:
        text = (folder / name).read_text("utf-8")
        assert text.startswith(f"# {name[:4]}. "), name
        assert "## Decision" in text, name


def _index(folder: Path) -> str:
    return (folder / "README.md").read_text("utf-8")


def test_the_glossary_names_words_that_exist() -> None:
    """A word of the glossary is used in the code, or its row says that it is yet to come."""
    code = "\n".join(p.read_text("utf-8") for p in SOURCE.rglob("*.py"))
    ours = (ROOT / "docs" / "glossary.md").read_text("utf-8").split("## Our own words")[1]
    words = [row.split("|")[1].strip() for row in ours.splitlines() if row.startswith("| ")][1:]
    assert words
    assert [word for word in words if not re.search(rf"\b{word}\b", code)] == []


TEST = re.compile(r"`((?:src|tests)/[\w/]+\.py)::(\w+)`")


def test_every_test_that_a_document_names_is_there() -> None:
    named = {
        (path, test)
        for document in DOCUMENTS
        for path, test in TEST.findall(document.read_text("utf-8"))
    }
    missing = [
        f"{path}::{test}"
        for path, test in sorted(named)
        if not (ROOT / path).exists()
        or not re.search(rf"^(async )?def {test}\(", (ROOT / path).read_text("utf-8"), re.M)
    ]
    assert len(named) > 30
    assert missing == []

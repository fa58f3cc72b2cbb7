"""``plugward check`` finds what breaks a promise, and says what to do about it."""

import json
from pathlib import Path

import pytest

from plugward.cli.check import check
from plugward.kernel.check.findings import Report
from plugward.kernel.check.run import check_board, check_manifests, fits
from plugward.kernel.check.schema import write_schema

from .boards import Workshop


def report_of(workshop: Workshop) -> Report:
    return check_board(workshop.load())


def test_a_new_board_has_nothing_to_hear(workshop: Workshop) -> None:
    report = report_of(workshop)
    assert report.findings == ()
    assert (report.declared, report.earned) == ("bronze", "silver")
    assert (report.operations, report.events, report.refusals) == (3, 2, 3)


A_NEED = '\n[needs]\norders = { version = ">=1,<2", away = "required" }\n\n[permissions]'
PLANTED = [
    ("SEC-DATA-01", "OpenEntry.note: is a bare str", "contract.py", "note: Clinical", "note: str"),
    (
        "SEC-DATA-01",
        "close.answer: is a bare str",
        "contract.py",
        "async def close(self, entry: EntryId) -> Entry:",
        "async def close(self, entry: EntryId) -> tuple[str, ...] | None:",
    ),
    ("tables", "says nothing about campuses", "tables.py", '    scope="campus",\n', ""),
    ("tables", "needs a length", "tables.py", "String(16)", "String()"),
    (
        "strings",
        "add NoteMissing under [refusals]",
        "strings/en.toml",
        'NoteMissing   = "Please write what it is about."\n',
        "",
    ),
    ("strings", "has Gone, no refusal", "strings/en.toml", "[pages]", 'Gone = "…"\n\n[pages]'),
    (
        "refusals",
        "named by no operation",
        "contract.py",
        " Refuses with ``NoteMissing`` or ``NoteTooLong``.",
        " Refuses with ``NoteTooLong``.",
    ),
    (
        "refusals",
        "must be the Chinese sentence",
        "contract.py",
        '"""请填写内容。"""',
        '"""Please write."""',
    ),
    ("refusals", "fills in {most}", "strings/en.toml", "{length_max}", "{most}"),
    ("refusals", "fills in {most}", "contract.py", "{length_max}", "{most}"),
    ("events", "leads to no field 'number'", "contract.py", 'key="entry.id"', 'key="entry.number"'),
    (
        "events",
        'has no ordering key; write key="…"',
        "contract.py",
        '"§.entry.closed.v1", key="entry.id"',
        '"§.entry.closed.v1"',
    ),
    ("events", "must read", "contract.py", "§.entry.closed.v1", "other.entry.closed"),
    (
        "documented",
        "has no docstring",
        "contract.py",
        '"""What waits at a campus, the oldest first, at most 200."""',
        '"""List."""',
    ),
    ("needs", "orders is declared, but no part", "board.toml", "\n[permissions]", A_NEED),
    (
        "permissions",
        "§.fly allows nothing",
        "board.toml",
        "[permissions]",
        '[permissions]\n"§.fly" = "飞行"',
    ),
    ("owners", "is nobody's", "board.toml", '["@§-team"]', "[]"),
    ("pages", "must begin with /§", "pages.py", '"/§"', '"/other"'),
    ("pages", "there is no templates/absent.html", "pages.py", "", 'def f(): view("absent.html")'),
    ("strings", "has no English title", "pages.py", '    title_en="§-title",\n', ""),
    ("keys", "F9 does 2 things", "pages.py", '    icon="clipboard-list",\n', "§keys F9 F9"),
    ("keys", "F1 belongs to the portal", "pages.py", '    icon="clipboard-list",\n', "§keys F1 F9"),
    ("settings", "reads the setting 'colour'", "service.py", "note_length_max\"]", "colour\"]"),
    ("imports", "another board's inside", "rules.py", "", "import plugward.boards.orders.tables"),
    (
        "imports",
        "contract imports no other",
        "contract.py",
        "",
        "import plugward.boards.orders.contract",
    ),
    ("imports", "rules may not lean on service", "rules.py", "", "from . import service"),
    ("imports", "may not lean on its sibling", "pages.py", "", "from .service import LISTED_MAX"),
    ("imports", "does not import random", "rules.py", "", "import random"),
    ("imports", "lies further out", "fakes.py", "", "import plugward.rack.folder"),
    (
        "injected",
        "datetime.now cannot be replayed",
        "rules.py",
        "",
        "from datetime import datetime\nNOW = datetime.now",
    ),
    ("grade", "says gold, but shows silver", "board.toml", '"bronze"', '"gold"'),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "sentence", "file", "old", "new"), PLANTED)
def test_what_is_planted_is_found(
    workshop: Workshop, rule: str, sentence: str, file: str, old: str, new: str
) -> None:
    if new.startswith("§keys"):
        pressed = ", ".join(f'Key("{key}", "做", "Do", "#do")' for key in new.split()[1:])
        workshop.plant(file, old, f"    keys=({pressed}),\n")
        workshop.plant(file, "import Action, Column, Grid,", "import Action, Column, Grid, Key,")
    elif not old:
        workshop.write(file, f"{(workshop.package / file).read_text('utf-8')}\n{new}\n")
    elif "§-title" in old:
        workshop.plant(file, f'    title_en="{workshop.name.capitalize()}",\n', "")
        workshop.plant("strings/en.toml", f'entries_page = "{workshop.name.capitalize()}"', "")
    else:
        workshop.plant(file, old, new)
    if "from . import service" in new:  # a circle of imports would not load; read it only
        workshop.plant(file, "from . import service", "def f():\n    from . import service")
    found = report_of(workshop).findings
    told = [f for f in found if f.rule == rule and sentence.replace("§", workshop.name) in str(f)]
    assert told, "\n".join(f"{f.rule} {f}" for f in found)
    others = {f.rule for f in found} - {rule, "grade"}
    assert len(others) <= 1, others  # what is planted is found, and hardly anything else


def test_a_board_without_a_readme_or_with_a_drawer_of_helpers_is_told(workshop: Workshop) -> None:
    (workshop.package / "README.md").unlink()
    workshop.write("utils.py", '"""Odds and ends."""\n')
    told = {(f.rule, f.what.partition(";")[0]) for f in report_of(workshop).findings}
    assert ("readme", "has no README.md") in told
    assert ("files", "a board has no utils") in told


def test_an_event_is_told_in_its_docstring_or_in_the_readme(workshop: Workshop) -> None:
    workshop.plant("contract.py", '    """Somebody has dealt with it."""\n\n', "")
    assert report_of(workshop).findings == ()
    workshop.plant("README.md", ", `§.entry.closed.v1`", "")
    [finding] = report_of(workshop).findings
    assert (finding.rule, finding.where) == ("documented", f"{workshop.name}.EntryClosed")


def test_a_board_that_claims_more_than_its_tests_show_is_told_what_it_lacks(
    workshop: Workshop,
) -> None:
    workshop.plant("board.toml", '"bronze"', '"silver"')
    test = f"tests/test_{workshop.name}_day.py"
    workshop.plant(test, "with bench.queries(at_most=1):", "if True:")
    workshop.plant(test, "await bench.prove()", "")
    [finding] = report_of(workshop).findings
    assert "bench.queries" in finding.what
    assert "bench.prove()" in finding.what


# ── released contracts ───────────────────────────────────────────────────────────────────────
def test_what_was_released_may_grow(workshop: Workshop) -> None:
    path = write_schema(workshop.load())
    assert path is not None
    assert path == workshop.root / "contracts" / f"{workshop.name}.json"
    released = json.loads(path.read_text("utf-8"))
    assert set(released["operations"]) == {"open", "close", "open_entries"}
    assert released["types"]["Entry"]["note"] == {"type": "str", "required": True}
    assert released["enums"]["EntryState"] == ["open", "closed"]

    workshop.plant(
        "contract.py", "    note: Clinical\n", "    note: Clinical\n    place: Plain = ''\n"
    )
    workshop.plant("contract.py", "    Invalid,\n", "    Invalid,\n    Plain,\n")
    workshop.plant("contract.py", "# 已办\n", '# 已办\n    LOST = "lost"\n')
    workshop.plant(
        "rules.py",
        "EntryState.CLOSED: set(),",
        "EntryState.CLOSED: set(),\n        EntryState.LOST: set(),",
    )
    assert report_of(workshop).findings == ()


BROKEN = [
    ("note: was str", "note: Clinical", "note: int"),
    ("note: was removed", "    note: Clinical\n", ""),
    ("is new and has no default", "    note: Clinical\n", "    note: Clinical\n    page: int\n"),
    ("open_entries: was removed", "async def open_entries(", "async def _hidden("),
    ("close: answered Entry", "entry: EntryId) -> Entry:", "entry: EntryId) -> Entry | None:"),
    ("closed_at: had a default", "closed_at: Instant | None = None", "closed_at: Instant | None"),
    ("entry.closed.v1: was removed", "entry.closed.v1", "entry.closed.v2"),
    ("EntryState: lost 'closed'", '= "closed"', '= "done"'),
    ("NoteTooLong: was removed", "NoteTooLong", "NoteMuchTooLong"),
    (
        "close: was a command",
        '@command(permission="§.work")\n    async def close',
        '@query(permission="§.work")\n    async def close',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "old", "new"), BROKEN)
def test_what_an_old_caller_would_stumble_over_is_refused(
    workshop: Workshop, sentence: str, old: str, new: str
) -> None:
    write_schema(workshop.load())
    workshop.plant("contract.py", old, new)
    if "NoteTooLong" in old:
        for file in ("rules.py", f"tests/test_{workshop.name}_day.py", "strings/en.toml"):
            workshop.plant(file, old, new)
    report = report_of(workshop)
    told = [str(f) for f in report.findings if f.rule == "compatible"]
    assert any(sentence in each for each in told), report.findings

    workshop.plant("board.toml", '= "1.0.0"', '= "2.0.0"')  # a new major may break
    assert [f for f in report_of(workshop).findings if f.rule == "compatible"] == []


# ── needs over all boards ────────────────────────────────────────────────────────────────────
MANIFEST = """
[board]
name = "{name}"
title = "板"
summary = "…"
version = "{version}"
owners = ["@team"]
grade = "bronze"
[needs]
"""


def manifests(folder: Path, **needs: str) -> list[Path]:
    """One manifest a name; ``a="b >=1,<2"`` says that a needs b."""
    paths = []
    for name, need in needs.items():
        path = folder / name / "board.toml"
        path.parent.mkdir()
        text = MANIFEST.format(name=name, version="1.2.0")
        for one in filter(None, need.split(";")):
            other, wanted = one.split()
            text += f'{other} = {{ version = "{wanted}", away = "required" }}\n'
        path.write_text(text, "utf-8")
        paths.append(path)
    return paths


def test_calls_may_not_go_round_in_a_circle(tmp_path: Path) -> None:
    """调用只能单向，事件可以双向。"""
    paths = manifests(tmp_path, a1="b1 >=1,<2", b1="c1 >=1,<2", c1="a1 >=1,<2", d1="a1 >=1,<2")
    read, [finding] = check_manifests(paths)
    assert len(read) == 4
    assert "a1 → b1 → c1 → a1" in finding.what


def test_a_version_that_does_not_fit_is_told(tmp_path: Path) -> None:
    _, findings = check_manifests(manifests(tmp_path, a1="b1 >=2,<3", b1="", c1="b1 >=1.2,<2"))
    assert [str(f) for f in findings] == ["a1 [needs]: wants b1 >=2,<3, but it is 1.2.0"]


def test_a_manifest_that_cannot_be_read_keeps_no_other_from_being_checked(tmp_path: Path) -> None:
    paths = manifests(tmp_path, a1="", b1="")
    paths[0].write_text("[board", "utf-8")
    read, findings = check_manifests([*paths, tmp_path / "gone" / "board.toml"])
    assert [m.name for m in read] == ["b1"]
    assert {f.rule for f in findings} == {"manifest"}
    assert len(findings) == 2


@pytest.mark.parametrize(
    ("version", "wanted", "holds"),
    [
        ("1.0.0", ">=1,<2", True),
        ("1.9.9", ">=1,<2", True),
        ("2.0.0", ">=1,<2", False),
        ("0.9.0", ">=1,<2", False),
        ("1.2.3", "==1.2.3", True),
        ("1.2.3", ">1.2.3", False),
        ("1.2.4", ">1.2.3,<=1.2.4", True),
        ("10.0.0", ">=9", True),
    ],
)
def test_versions_are_numbers_not_texts(version: str, wanted: str, holds: bool) -> None:
    assert fits(version, wanted) is holds


# ── the command ──────────────────────────────────────────────────────────────────────────────
def test_every_installed_boards_manifest_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(None, as_json=True, manifests=True) == 0
    assert "pricing" in json.loads(capsys.readouterr().out)["boards"]


def test_the_command_prints_a_table_and_sentences(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(workshop.package.name, as_json=False, manifests=False) == 0
    printed = capsys.readouterr().out
    assert "✓" in printed
    assert "everything holds" in printed

    workshop.plant("contract.py", "note: Clinical", "note: str")
    workshop.load()
    assert check(workshop.package.name, as_json=False, manifests=False) == 1
    printed = capsys.readouterr().out
    assert "SEC-DATA-01" in printed
    assert f"{workshop.name}.OpenEntry.note: is a bare str" in printed


def test_the_commands_json_is_for_machines(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(workshop.package.name, as_json=True, manifests=False) == 0
    [board] = json.loads(capsys.readouterr().out)["boards"]
    assert (board["board"], board["findings"]) == (workshop.name, [])


def test_the_command_writes_the_contract_down(workshop: Workshop) -> None:
    assert check(workshop.package.name, as_json=False, manifests=False, export=True) == 0
    assert (workshop.root / "contracts" / f"{workshop.name}.json").exists()


def test_a_board_that_is_not_there_or_does_not_load_is_one_sentence(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check("nowhere_at_all", as_json=False, manifests=False) == 2
    assert "There is no board nowhere_at_all" in capsys.readouterr().out
    workshop.plant("board.toml", '"§.read" = "查看', '"§.look" = "查看')
    assert check(workshop.package.name, as_json=False, manifests=False) == 2
    assert "could not be loaded" in capsys.readouterr().out

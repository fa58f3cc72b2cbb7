"""A manifest is read before any code; every mistake in it is told at once, in a sentence."""

from pathlib import Path

import pytest

from plugward.kernel.manifest import Away, ManifestError, Settings, read_manifest

from .parcels.board import board as parcels_board

GOOD = """
[board]
name = "lab"
title = "检验"
summary = "标本与报告。"
version = "1.2.0"
owners = ["@lab"]
grade = "silver"

[needs]
orders = { version = ">=1,<2", away = "degrade", fallback = "without the name" }

[permissions]
"lab.read" = "查看报告"

[roles]
doctor = ["lab.read"]

[settings]
critical_minutes = { default = 10, min = 1, max = 120, doc = "危急值时限" }
share = { default = 0.5, min = 0, max = 1 }
mode = { default = "fast", choices = ["fast", "thorough"] }
plain = true
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "board.toml"
    path.write_text(text, "utf-8")
    return path


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(ManifestError) as wrong:
        read_manifest(written(folder, text))
    return wrong.value.problems


def test_a_good_manifest_is_read_with_its_defaults(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path, GOOD))
    assert (manifest.name, manifest.title_en, manifest.core) == ("lab", "Lab", False)
    assert manifest.needs["orders"].away is Away.DEGRADE
    assert manifest.roles == {"doctor": ("lab.read",)}
    assert manifest.settings["plain"].default is True


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        """
        colour = "red"
        [board]
        name = "Lab-1"
        summary = "…"
        version = "one"
        owners = ["@lab"]
        grade = "shiny"
        motto = "quick"
        [needs]
        orders = { version = "newest", away = "shrug" }
        pricing = { version = ">=1,<2", away = "degrade" }
        billing = "yes"
        [permissions]
        "pharmacy.read" = "查看"
        "Lab-1.write" = ""
        [roles]
        doctor = ["lab.fly"]
        nurse = "lab.read"
        [settings]
        minutes = { min = 1 }
        hours = { default = 0, min = 1 }
        days = { default = 9, max = 5, unit = "d" }
        name = { default = "x", choices = ["a", "b"] }
        "Bad-Name" = 1
        """,
    )
    for part in (
        "[colour] is not a part",
        "[board] lacks title",
        "[board] has no motto",
        "the name 'Lab-1'",
        "the version 'one'",
        "the grade 'shiny'",
        "the need orders must name versions",
        "the need orders must say away",
        "the need pricing degrades, but names no fallback",
        "the need billing must read",
        "'pharmacy.read' must read",
        "'Lab-1.write' must say what it allows",
        "the role doctor gets 'lab.fly'",
        "the role nurse must list",
        "the setting minutes has no default",
        "the setting hours: its default must be at least 1",
        "the setting days: its default must be at most 5",
        "the setting days has no unit",
        "the setting name: its default must be one of a, b",
        "the setting 'Bad-Name'",
    ):
        assert [problem for problem in found if part in problem], (part, found)


def test_a_file_that_is_not_there_or_no_toml_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"there is no board\.toml"):
        read_manifest(tmp_path / "board.toml")
    assert "not valid TOML" in mistakes(tmp_path, "[board\n")[0]


def test_values_of_the_wrong_type_are_told(tmp_path: Path) -> None:
    [problem] = mistakes(tmp_path, GOOD.replace('owners = ["@lab"]', "owners = 3"))
    assert "owners" in problem


# ── settings ─────────────────────────────────────────────────────────────────────────────────
def test_settings_are_typed_by_their_default(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path, GOOD))
    settings = Settings(manifest, {"critical_minutes": 30, "share": 1})
    assert settings["critical_minutes"] == 30
    assert settings["share"] == 1
    assert settings["mode"] == "fast"
    with pytest.raises(KeyError):
        settings["minutes"]


def test_every_wrong_setting_is_told_at_once(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path, GOOD))
    with pytest.raises(ManifestError) as wrong:
        Settings(
            manifest,
            {
                "critical_minutes": 0,
                "share": "half",
                "mode": "slow",
                "plain": 1,
                "colour": "red",
            },
        )
    told = "\n".join(wrong.value.problems)
    for part in (
        "lab.critical_minutes: must be at least 1",
        "lab.share: must be a float",
        "lab.mode: must be one of fast, thorough",
        "lab.plain: must be a bool",
        "lab.colour: there is no such setting",
    ):
        assert part in told


def test_yes_is_no_number(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path, GOOD))
    for key in ("critical_minutes", "share"):
        with pytest.raises(ManifestError):
            Settings(manifest, {key: True})


async def test_a_board_reads_what_its_hospital_has_set() -> None:
    from .hospital import hospital

    async with hospital(settings={"parcels": {"kept_days": 7}}) as runtime:
        settings = runtime.plugged["parcels"].service.settings
        assert (settings["kept_days"], settings["greeting"]) == (7, "您好")
    with pytest.raises(ManifestError, match="at most 60"):
        async with hospital(settings={"parcels": {"kept_days": 70}}):
            pass


def test_a_board_knows_its_manifest_and_its_files() -> None:
    assert parcels_board.manifest.permissions["parcels.hand"] == "交付包裹"
    assert (parcels_board.folder / "board.toml").exists()
    assert parcels_board.package.endswith("kernel.parcels")

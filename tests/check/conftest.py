"""A workshop for one test."""

from pathlib import Path

import pytest

from .boards import Workshop


@pytest.fixture
def workshop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Workshop:
    made = Workshop(tmp_path, monkeypatch)
    capsys.readouterr()
    return made

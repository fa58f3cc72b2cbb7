"""Who called what, as the person who has to answer for it reads it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plugward.cli.hub_verbs import calls
from plugward.commons.hub.connectors.callbook import FILE, Call, CallBook, Ending


async def test_the_calls_that_were_passed_through_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hub").mkdir()
    at = datetime(2026, 3, 2, tzinfo=UTC)
    book = CallBook(tmp_path / FILE, lambda: at)
    await book.start()
    seq = await book.begin(Call(at, "his", "10.3.0.1", "lis", "GET", "/lis/results/1"))
    book.end(seq, Ending(200, 0, 512, 0.004))
    await book.begin(Call(at, "emr", "10.3.0.2", "pacs", "GET", "/pacs/[x]"))
    await book.stop()

    def told(service: str = "", *, as_json: bool = False) -> str:
        assert calls(data=tmp_path, service=service, caller="", limit=9, as_json=as_json) == 0
        return capsys.readouterr().out

    rows = [json.loads(line) for line in told(as_json=True).splitlines()]
    assert [(row["caller"], row["status"], row["ms"]) for row in rows] == [
        ("emr", None, None),  # under way when the hub died: it may have happened
        ("his", 200, 4.0),
    ]
    shown = told("pacs")
    assert "[x]" in shown.replace("\n", "")
    assert "his" not in shown

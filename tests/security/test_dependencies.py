"""SEC-OPS-10: a package with a known weakness or a licence that does not fit stops a release."""

import json
import re
import runpy
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
GATE = ROOT / ".ci" / "dependencies.py"
DEPENDENCIES: Any = SimpleNamespace(**runpy.run_path(str(GATE)))


def gate(*arguments: object, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = {"PYTHONPATH": str(home)} if home else {}
    return subprocess.run(
        [sys.executable, GATE, *map(str, arguments)],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **path},
    )  # fmt: skip


def advisory(**affected: object) -> str:
    package = {"name": "MsgSpec", "ecosystem": "PyPI"}
    return json.dumps({"id": "TEST-1", "affected": [{"package": package, **affected}]})


def test_sec_ops_10_what_we_run_on_passes_and_is_listed(tmp_path: Path) -> None:
    ran = gate("--sbom", tmp_path / "sbom.json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    listed = json.loads((tmp_path / "sbom.json").read_text())
    parts = {part["name"]: part["version"] for part in listed["components"]}
    assert parts["msgspec"] == version("msgspec")
    assert {"sqlalchemy", "duckdb", "aiohttp", "nats-py"} <= set(parts)
    assert "pytest" not in parts


@pytest.mark.parametrize(
    ("affected", "is_hit"),
    [
        ({"versions": ["2.5"]}, True),
        ({"ranges": [{"events": [{"introduced": "0"}, {"fixed": "2.6"}]}]}, True),
        ({"ranges": [{"events": [{"introduced": "2.5"}]}]}, True),
        ({"ranges": [{"events": [{"introduced": "0"}, {"fixed": "2.5"}]}]}, False),
        ({"ranges": [{"events": [{"introduced": "2.6"}]}]}, False),
        ({"versions": ["2.4"]}, False),
    ],
)
def test_a_weakness_hits_the_versions_it_says(affected: dict[str, object], is_hit: bool) -> None:
    found = list(
        DEPENDENCIES.known_weaknesses({"msgspec": "2.5"}, [json.loads(advisory(**affected))])
    )
    assert found == (["msgspec 2.5 has the known weakness TEST-1"] if is_hit else [])


@pytest.mark.parametrize(
    ("licence", "is_refused"),
    [
        ("GPL-3.0-only", True),
        ("GNU Affero General Public License v3", True),
        ("Proprietary", True),
        ("", True),
        ("EPL-2.0 OR GPL-2.0-or-later", False),
        ("Apache-2.0 AND MIT", False),
    ],
)
def test_a_licence_fits_or_does_not(licence: str, is_refused: bool) -> None:
    assert DEPENDENCIES.refused_licence(licence) is is_refused


def test_sec_ops_10_a_planted_weakness_and_a_planted_licence_stop_the_release(
    tmp_path: Path,
) -> None:
    """An advisory for what is installed; and, in front of it, msgspec under another licence."""
    (tmp_path / "osv.jsonl").write_text(advisory(versions=["0.99"]) + "\n", "utf-8")
    planted = tmp_path / "msgspec-0.99.dist-info"
    planted.mkdir()
    (planted / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: msgspec\nVersion: 0.99\nLicense-Expression: GPL-3.0-only\n"
    )
    ran = gate("--advisories", tmp_path / "osv.jsonl", home=tmp_path)
    assert ran.returncode == 1
    assert ran.stdout.splitlines() == [
        "msgspec is under GPL-3.0-only, which is not on the list",
        "msgspec 0.99 has the known weakness TEST-1",
    ]


def test_sec_ops_10_every_version_is_pinned_and_fix_times_are_promised() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9_.\-\[\]]+==[\w.+!]+", pin)] == []
    promised = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "critical within 7 days, high within 30, the rest within 90" in promised

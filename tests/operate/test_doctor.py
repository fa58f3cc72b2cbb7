"""``plugward doctor`` names each planted fault in words, zh and en, and says what to do."""

import asyncio
import csv
import json
import shutil
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from plugward.cli.main import app
from plugward.kernel.access import Access
from plugward.kit.ids import new_id
from plugward.rack.control.embedded import EmbeddedPowers
from plugward.rack.control.server import ControlServer
from plugward.rack.doctor import State, Verdict, Wanted, examine
from plugward.rack.embedded import Embedded
from plugward.rack.folder import DataFolder
from tests.conftest import MadeOnce

QUIET = Wanted(port=0, mllp_port=0)
LOOKING = Wanted(port=0, mllp_port=0, security=True)
ROWS = Path(__file__).parents[1] / "security" / "checks.csv"


async def _open(folder: Path) -> None:
    """A hospital that was opened once, wrote to its audit log, and was closed."""
    house = DataFolder(folder)
    house.open()
    hospital = Embedded(house, extra={"hub": {"mllp_port": 0}})
    await hospital.start()
    for _ in range(3):
        await hospital.runtime.audit.append([_access()])
    await hospital.stop()
    house.close()


def _access() -> Access:
    request = new_id()
    return Access(
        operation="patients.get", result="read", actor="staff:D1", on_behalf_of=None, roles=(),
        device=None, address=None, campus="C1", patients=(), encounters=(), reason=None,
        request=request, trace=request.hex, arguments_hash=b"",
    )  # fmt: skip


@pytest.fixture
def data(tmp_path: Path, made_once: MadeOnce) -> Path:
    made = made_once("doctor", lambda folder: asyncio.run(_open(folder)))
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data"


def faults(data: Path, wanted: Wanted = QUIET) -> dict[str, Verdict]:
    return {v.id: v for v in examine(DataFolder(data), wanted) if v.state is not State.OK}


def test_a_hospital_in_order_has_no_fault(data: Path) -> None:
    found = examine(DataFolder(data), LOOKING)
    assert [v for v in found if v.state in (State.FAULT, State.WARNING)] == []
    assert {v.id: v.state for v in found}["boards"] is State.UNKNOWN  # it does not run


def test_a_folder_without_a_hospital_is_no_fault(tmp_path: Path) -> None:
    assert {v.id: v.state for v in faults(tmp_path / "new").values()} == {"hospital": State.UNKNOWN}


class Planted(NamedTuple):
    id: str
    plant: Callable[[Path], None]
    zh: str
    en: str
    do: str


def _sql(file: str, *statements: str) -> Callable[[Path], None]:
    def plant(data: Path) -> None:
        with closing(sqlite3.connect(data / file)) as db:
            for statement in statements:
                db.execute(statement)
            db.commit()

    return plant


def _settings(text: str) -> Callable[[Path], None]:
    def plant(data: Path) -> None:
        (data / "plugward.toml").write_text(text, "utf-8")
        (data / "plugward.toml").chmod(0o600)

    return plant


def _open_to_all(file: str) -> Callable[[Path], None]:
    def plant(data: Path) -> None:
        (data / file).touch()
        (data / file).chmod(0o644)

    return plant


def _certificate(days: int) -> Callable[[Path], None]:
    def plant(data: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=400))
            .not_valid_after(now + timedelta(days=days))
            .sign(key, hashes.SHA256())
        )
        (data / "keys" / "hub.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (data / "keys" / "hub.pem").chmod(0o600)

    return plant


def _no_folder(data: Path) -> None:
    shutil.rmtree(data / "audit")
    (data / "audit").write_text("a file stands where the folder was")


PARK = (
    "INSERT INTO lab_sys_parked (id, event, reaction, source, position, key, frame, error, "
    "attempts, state, parked_at) VALUES (x'01', x'02', 'r', 'orders', 1, 'k', x'00', 'Conflict', "
    "3, 'parked', 0)"
)
PLANTED = (
    Planted("folder", _no_folder, "不能写入", "cannot be written", "chown"),
    Planted(
        "clock",
        _sql("audit/audit.sqlite", "INSERT INTO audit_entry SELECT lane, seq + 100, "
             "'2099-01-01T00:00:00+00:00', body, patients, operation, actor, request, hash "
             "FROM audit_entry WHERE seq = 1"),
        "时钟不准", "clock is off", "NTP",
    ),
    Planted("database", _settings('[hospital]\ndatabase = "postgresql://his@127.0.0.1:1/his"\n'),
            "连不上数据库", "cannot be reached", "firewall"),
    Planted("schema", _sql("boards/billing.sqlite",
                           "INSERT INTO billing_sys_migration VALUES (9999, 'later', 0)"),
            "更新的版本", "newer release", "restore"),
    Planted("audit", _sql("audit/audit.sqlite", "DROP TRIGGER audit_no_update",
                          "UPDATE audit_entry SET body = replace(body, 'D1', 'D2') WHERE seq = 2"),
            "审计链已断", "entry 2 was changed", "security officer"),
    Planted("parked", _sql("boards/lab.sqlite", PARK), "lab 有 1 条事件", "1 events", "replay"),
    Planted("certificates", _certificate(-3), "到期", "expired on", "renew"),
    Planted("settings", _settings("[hospital]\nprofile = 7\n"), "设置文件有误",
            "settings are wrong", "plugward.toml"),
)  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.id)
def test_a_planted_fault_is_named_with_what_to_do(data: Path, planted: Planted) -> None:
    planted.plant(data)
    found = faults(data)
    verdict = found[planted.id]
    assert verdict.state is State.FAULT
    assert planted.zh in verdict.zh
    assert planted.en in verdict.en
    assert planted.do in verdict.do_en
    assert verdict.do_zh
    others = {v.id for v in found.values() if v.state is State.FAULT} - {planted.id}
    assert others <= {"audit"}, found  # whoever touches the log's file breaks its chain, too


def test_a_taken_port_is_named(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        verdict = faults(data, Wanted(port=port, mllp_port=0))["ports"]
    assert (verdict.state, str(port) in verdict.zh) == (State.FAULT, True)
    assert f"port {port} is taken" in verdict.en
    assert "--port" in verdict.do_en


@pytest.mark.parametrize(
    ("free", "state"), [(100_000_000, State.FAULT), (2_000_000_000, State.WARNING)]
)
def test_a_disk_that_fills_up_is_named_before_it_is_full(
    data: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: State
) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free))
    verdict = faults(data)["disk"]
    assert verdict.state is state
    assert "磁盘快满了" in verdict.zh
    assert "nearly full" in verdict.en


def test_a_certificate_that_ends_soon_is_a_warning(data: Path) -> None:
    _certificate(10)(data)
    verdict = faults(data)["certificates"]
    assert verdict.state is State.WARNING
    assert "expires on" in verdict.en


async def test_a_board_that_does_not_answer_is_named_while_the_others_run(data: Path) -> None:
    (data / "boards" / "lab.sqlite").write_bytes(b"this is no database" * 999)
    for extra in ("lab.sqlite-wal", "lab.sqlite-shm"):
        (data / "boards" / extra).unlink(missing_ok=True)
    house = DataFolder(data)
    house.open()
    hospital = Embedded(house, extra={"hub": {"mllp_port": 0}})
    await hospital.start()
    control = ControlServer(data, EmbeddedPowers(hospital.runtime, data))
    await control.start()
    try:
        found = await asyncio.to_thread(examine, DataFolder(data), QUIET)
    finally:
        await control.stop()
        await hospital.stop()
        house.close()
    silent = [v for v in found if v.id == "boards" and v.state is State.FAULT]
    assert [("lab" in v.zh, "lab does not answer" in v.en) for v in silent] == [(True, True)]
    assert "plug" in silent[0].do_en
    assert next(v for v in found if v.id == "ports").state is State.OK  # they are its own


def test_the_command_prints_both_languages_and_json_for_machines(data: Path) -> None:
    _sql("boards/lab.sqlite", PARK)(data)
    arguments = ["doctor", "--data", str(data), "--port", "0", "--mllp-port", "0"]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 1
    assert "lab 有 1 条事件处理失败" in said.output
    assert "→ replay them on the page Parked events" in said.output
    told = CliRunner().invoke(app, [*arguments, "--json"])
    found = json.loads(told.stdout)
    assert found["faults"] == 1
    assert {"id", "state", "zh", "en", "do_zh", "do_en"} == set(found["verdicts"][0])


STAFF = (
    "INSERT INTO identity_account (id, staff_no, name, title, department, kind, state, grants, "
    "state_reason, is_demo, password_hash, earlier_hashes, opened_at) VALUES "
    "(x'07', 'D1', '某', '', '', 'person', 'active', '[]', '', 0, 'md5$abc', '[]', 0)"
)


# ── security ─────────────────────────────────────────────────────────────────────────────────
def test_sec_gate_07_every_row_a_machine_can_decide_has_a_verdict(data: Path) -> None:
    wanted = {r["id"] for r in csv.DictReader(ROWS.open(encoding="utf-8")) if r["by"] == "machine"}
    found = examine(DataFolder(data), LOOKING)
    assert {v.id for v in found if v.id.startswith("SEC-")} == wanted
    assert [v for v in found if v.state is State.FAULT] == []


@pytest.mark.parametrize(
    ("plant", "row"),
    [
        (_settings('[hospital]\nprofile = "production"\n'), "SEC-GATE-02"),
        (_settings('[hospital]\ndebug = true\n'), "SEC-GATE-06"),
        (_settings('[boards.hub]\nhost = "0.0.0.0"\n'), "SEC-HUB-01"),
        (_settings('[hospital]\nprofile = "production"\n'), "SEC-GATE-05"),
        (_settings('[hospital]\nprofile = "production"\n'), "SEC-IDENTITY-13"),
        (_open_to_all("boards/lab.sqlite"), "SEC-BOARD-08"),
        (_open_to_all("keys/secret"), "SEC-OPS-01"),
        (_open_to_all("demo-logins.json"), "SEC-GATE-04"),
        (_sql("audit/audit.sqlite", "DROP TRIGGER audit_no_delete"), "SEC-AUDIT-07"),
        (_sql("boards/identity.sqlite", STAFF), "SEC-IDENTITY-02"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_sec_gate_07_a_setting_that_opens_a_door_is_named(
    data: Path, plant: Callable[[Path], None], row: str
) -> None:
    plant(data)
    verdict = faults(data, LOOKING)[row]
    assert verdict.state is State.FAULT
    assert verdict.do_zh
    assert verdict.do_en

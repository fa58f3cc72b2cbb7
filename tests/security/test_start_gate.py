"""SEC-GATE-02: a production hospital with open doors does not start, and says every reason."""

import subprocess
import sys
from pathlib import Path

from plugward.rack.folder import DataFolder, HospitalSettings
from plugward.rack.gate import Listeners, failed_checks

PLUGWARD = Path(sys.executable).with_name("plugward")


def test_sec_gate_02_eight_broken_settings_give_eight_sentences(tmp_path: Path) -> None:
    (tmp_path / "demo").touch()
    (tmp_path / "plugward.toml").write_text(
        '[hospital]\nprofile = "production"\ndebug = true\n'
        f'keys = "{tmp_path}/keys"\ndatabase = "postgresql://postgres@db/x"\n'
    )
    result = subprocess.run(
        [PLUGWARD, "up", "--no-demo", "--data", tmp_path, "--host", "0.0.0.0"],  # noqa: S104 - refused
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    said = [line for line in result.stdout.splitlines() if line.strip()]
    assert len(said) == 8, result.stdout


def test_a_production_hospital_in_order_may_open(tmp_path: Path) -> None:
    hospital = HospitalSettings(
        profile="production",
        keys="/run/secrets/plugward",
        anchors="/srv/anchors",
        tls_by="nginx on this host",
        hosts=("his.example.test",),
        mllp_insecure="own VLAN, 2026-12",
    )
    at = Listeners(host="10.0.0.5", mllp_port=2575, demo=False)
    assert failed_checks(DataFolder(tmp_path), hospital, at) == []


def test_sec_gate_06_debug_cannot_be_on_in_production(tmp_path: Path) -> None:
    hospital = HospitalSettings(
        profile="production",
        keys="/k",
        anchors="/a",
        debug=True,
    )
    [said] = failed_checks(
        DataFolder(tmp_path), hospital, Listeners(host="127.0.0.1", mllp_port=0, demo=False)
    )
    assert "debug" in said

"""``plugward up`` as its user meets it: it starts, it says what is wrong, it stops cleanly."""

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLUGWARD = Path(sys.executable).with_name("plugward")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    process = subprocess.Popen(
        [PLUGWARD, "up", "--data", folder, "--port", str(port), "--mllp-port", str(free_port()),
         *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=2).read()
            except OSError:
                time.sleep(0.1)
            else:
                break
        yield process, port
    finally:
        process.kill()
        process.wait()


def stopped(process: "subprocess.Popen[str]") -> str:
    """Ctrl-C; what it printed."""
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    return out


def test_the_demo_starts_stops_and_starts_again_with_its_data(tmp_path: Path) -> None:
    folder = tmp_path / "hospital"
    with running(folder) as (process, _):
        first = stopped(process)
        assert process.returncode == 0, first
    assert "Plugward is up" in first
    with running(folder) as (process, _):
        second = stopped(process)
        assert process.returncode == 0, second
    logins = [re.findall(r"D10247\s+(\S+)", out) for out in (first, second)]
    assert logins[0] == logins[1] != []
    audit = subprocess.run(
        [PLUGWARD, "audit", "--data", folder], capture_output=True, text=True, check=False
    )
    assert audit.returncode == 0, audit.stdout


def test_a_taken_port_gives_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = subprocess.run(
            [PLUGWARD, "up", "--data", tmp_path, "--port", str(port)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 2
    assert result.stdout.strip().count("\n") == 0
    assert f"Port {port} is taken" in result.stdout


def test_sec_gate_01_the_demo_listens_on_this_machine_only(tmp_path: Path) -> None:
    result = subprocess.run(
        [PLUGWARD, "up", "--data", tmp_path, "--host", "0.0.0.0"],  # noqa: S104 - refused
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "this machine only" in result.stdout


def test_sec_gate_03_a_demo_folder_never_becomes_a_production_one(tmp_path: Path) -> None:
    (tmp_path / "boards").mkdir()
    (tmp_path / "demo").touch()
    (tmp_path / "plugward.toml").write_text('[hospital]\nprofile = "production"\n')
    result = subprocess.run(
        [PLUGWARD, "up", "--no-demo", "--data", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "empty folder" in result.stdout

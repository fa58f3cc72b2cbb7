"""A hostile board tries each way out of its process, and is stopped at each.

外来插板进程被关在自己的文件夹里：读别人的文件、连别的端口、发信号、吃内存，都被拦下。
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from plugward.rack.confine import Policy, command, version
from plugward.rack.environments import reading

pytestmark = pytest.mark.skipif(version() == 0, reason="this kernel has no Landlock")

TRIES = {
    "reads another board's tables": "open({secret!r}).read()",
    "lists the hospital's folder": "import os; os.listdir({hospital!r})",
    "writes beside its folder": "open({hospital!r} + '/mine', 'w')",
    "connects to a port of this machine": (
        "import socket; socket.create_connection(('127.0.0.1', {port}))"
    ),
    "opens a port": "import socket; socket.create_server(('127.0.0.1', 0))",
    "stops the rack": "import os; os.kill({pid}, 0)",
    "reads another process": "open('/proc/{pid}/environ').read()",
    "starts a shell that reads": (
        "import subprocess; subprocess.run(['/bin/cat', {secret!r}], check=True)"
    ),
    "eats memory": "bytearray(4 << 30)",
}
ALL = """
import subprocess
for what, attempt in {tries!r}.items():
    try:
        exec(attempt)
        print(what)
    except (OSError, MemoryError, subprocess.CalledProcessError):
        pass
"""


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    folder = tmp_path / "hospital"
    (folder / "guests" / "hostile").mkdir(parents=True)
    (folder / "patients.sqlite").write_text("patients")
    return folder


def run(
    hospital: Path, code: str, *, connect: tuple[int, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    policy = Policy(
        read=reading(Path(sys.prefix))["read"],
        write=[str(hospital / "guests" / "hostile")],
        connect=list(connect),
    )
    return subprocess.run(
        command(policy, [sys.executable, "-c", code]), capture_output=True, text=True, check=False
    )


def test_each_way_out_is_closed(hospital: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        known = {
            "secret": str(hospital / "patients.sqlite"),
            "hospital": str(hospital),
            "port": other.getsockname()[1],
            "pid": os.getpid(),
        }
        tries = {what: attempt.format(**known) for what, attempt in TRIES.items()}
        done = run(hospital, ALL.format(tries=tries))
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


def test_what_it_is_given_it_has(hospital: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nats:
        port = nats.getsockname()[1]
        done = run(
            hospital,
            "import os, socket, plugward.kernel\n"
            "open(os.path.join(os.environ['HOME'], 'kept'), 'w').write('1')\n"
            f"socket.create_connection(('127.0.0.1', {port}))\n"
            "print(sorted(os.environ))",
            connect=(port,),
        )
    assert done.returncode == 0, done.stderr
    assert "['HOME', 'LANG', 'PATH', 'TMPDIR']" in done.stdout  # none of the rack's environment

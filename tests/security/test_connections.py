"""SEC-DATA-19: a hospital connects to nobody but itself. There is no telemetry.

A day runs in a network of its own, which has a loopback and no way out: every packet to anywhere
else finds no route, and the system counts it, whichever library sent it. Where no network of its
own is to be had, Python's own record of connections has to do.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

WATCHED = """
import ipaddress, json, sys
asked = []

def watch(event, given):
    if event in ("socket.connect", "socket.sendto"):
        asked.append(given[1])
    elif event == "socket.getaddrinfo":
        asked.append((given[0], given[1]))

sys.addaudithook(watch)
code = 0
if sys.argv[1] == "day":
    from plugward.cli.day import day
    code = day(visits=3, seed=3, data=None, speed=0.0, acknowledged=None, as_json=False)
else:
    import socket
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.sendto(b"telemetry", ("198.51.100.7", 53))
        except OSError:
            pass

def is_ours(place):
    if isinstance(place, (str, bytes)):
        return True  # a socket file
    host = place[0]
    if isinstance(host, bytes):
        host = host.decode()
    try:
        return host in (None, "", "localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

others = sorted({str(place) for place in asked if not is_ours(place)})
print(json.dumps({"code": code, "others": others}), file=sys.stderr)
"""
APART = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c")
SCRIPT = (
    'ip link set lo up 2>/dev/null || "$0" -c "$2"; '
    '"$0" -c "$1" {mode}; cat /proc/net/snmp /proc/net/snmp6'
)
LO_UP = """
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    ask = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
    fcntl.ioctl(s.fileno(), 0x8914, ask)  # SIOCSIFFLAGS
"""


def _run(mode: str, *, apart: bool) -> tuple[dict[str, object], int]:
    """What was asked for, and how many packets found no route (-1: no network of its own)."""
    alone = [sys.executable, "-c", WATCHED, mode]
    command = [*APART, SCRIPT.format(mode=mode), sys.executable, WATCHED, LO_UP] if apart else alone
    ran = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    told = json.loads(ran.stderr.strip().splitlines()[-1])
    return told, _without_route(ran.stdout) if apart else -1


def _without_route(text: str) -> int:
    """``OutNoRoutes`` of both kinds of addresses."""
    heads, counts = [line.split() for line in text.splitlines() if line.startswith("Ip: ")][:2]
    four = int(counts[heads.index("OutNoRoutes")])
    six = next(
        int(line.split()[1]) for line in text.splitlines() if line.startswith("Ip6OutNoRoutes")
    )
    return four + six


def _can_be_apart() -> bool:
    """Whether this machine lets us have a network of our own (some containers do not)."""
    return subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.full
def test_sec_data_19_a_day_connects_to_nobody_else() -> None:
    told, lost = _run("day", apart=_can_be_apart())
    assert told["code"] == 0, told
    assert told["others"] == []
    assert lost <= 0, f"{lost} packets went to somebody else"


def test_sec_data_19_the_watch_sees_who_calls_home() -> None:
    apart = _can_be_apart()
    told, lost = _run("telemetry", apart=apart)
    assert told["others"] == ["('198.51.100.7', 53)"]
    assert not apart or lost == 1

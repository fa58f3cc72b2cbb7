"""Confine 约束: run a program that may touch what it is given, and nothing else of this machine.

``python -m plugward.rack.confine POLICY -- PROGRAM …``: this process gives up its rights and
becomes the program. The kernel's Landlock keeps files, TCP ports, signals and other processes out
of its reach, whatever its code tries; limits keep its memory and open files small. Nothing of the
program is loaded before the rights are gone.
"""

import ctypes
import json
import os
import resource
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

MEMORY_BYTES = 3 << 30
OPEN_FILES = 1_024
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_OF = 1
_PATH, _PORT = 1, 2
_NO_NEW_PRIVILEGES = 38
_READ = (1 << 0) | (1 << 2) | (1 << 3)  # execute, read a file, list a folder
_READ_FILE = (1 << 0) | (1 << 2)
_FILE_ONLY = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 14) | (1 << 15)
_ALL_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP = 3  # bind, connect
_CONNECT = 1 << 1
_SCOPES = 3  # abstract sockets, signals
_TCP_SINCE, _SCOPES_SINCE = 4, 6
SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/dev/null", "/dev/urandom", "/dev/random", "/proc/self",
    "/etc/ld.so.cache", "/etc/localtime", "/etc/passwd", "/etc/hosts", "/etc/nsswitch.conf",
    "/etc/ssl", "/etc/mime.types", "/etc/os-release", "/etc/debian_version", "/etc/lsb-release",
)  # fmt: skip


class Policy(TypedDict):
    """What is left. Folders and files to read, folders to keep things in, ports to connect to."""

    read: list[str]
    write: list[str]
    connect: list[int]


class NotConfined(OSError):
    """This machine's kernel cannot hold a program back."""


def command(policy: Policy, program: Sequence[str]) -> list[str]:
    """The command line that runs a program confined."""
    here = [sys.executable, "-I", "-m", "plugward.rack.confine"]
    return [*here, json.dumps(policy), "--", *program]


def version() -> int:
    """Which Landlock this kernel has; 0 for none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(_CREATE, None, 0, _VERSION_OF)))


def confine(policy: Policy) -> None:
    """From here on only what the policy leaves. Raises ``NotConfined``."""
    abi = version()
    if abi == 0:
        raise NotConfined("this kernel has no Landlock: boards from outside need Linux 5.13")
    files = max(mask for since, mask in _ALL_BY_VERSION.items() if since <= abi)
    ports = _TCP if abi >= _TCP_SINCE else 0
    scopes = _SCOPES if abi >= _SCOPES_SINCE else 0
    rules = _call(_CREATE, struct.pack("QQQ", files, ports, scopes), 24, 0)
    for path in (*SYSTEM, *policy["read"]):
        _beneath(rules, path, _READ & files)
    for path in (*policy["write"], "/dev/null"):
        _beneath(rules, path, files)
    for port in policy["connect"] if ports else ():
        _call(_ADD, rules, _PORT, struct.pack("QQ", _CONNECT, port), 0)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _call(_RESTRICT, rules, 0)
    os.close(rules)


def limit() -> None:
    """No more memory and files than a board needs, and no core dump with patients in it."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))


def _beneath(rules: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # not on this machine
    try:
        if not Path(path).is_dir():
            rights &= _FILE_ONLY
        _call(_ADD, rules, _PATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *given: int | bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = [ctypes.c_long(g) if isinstance(g, int) else ctypes.c_char_p(g) for g in given]
    answer = int(libc.syscall(ctypes.c_long(number), *arguments))
    if answer < 0:
        raise NotConfined(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def main() -> None:
    policy: Policy = json.loads(sys.argv[1])
    program = sys.argv[sys.argv.index("--") + 1 :]
    kept = policy["write"][0] if policy["write"] else "/"
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TMPDIR": kept, "HOME": kept}
    limit()
    confine(policy)
    os.execve(program[0], program, environment)  # noqa: S606 - no shell, that is the point


if __name__ == "__main__":
    main()

"""SEC-OPS-01: secrets lie in files of their owner, and nowhere else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugward.commons.hub.web.asgi import Refusal
from plugward.commons.hub.web.callers import Callers
from tests.rack.running import rack_up

ROOT = Path(__file__).parents[2]
OURS = ("src", "tests", "examples", "docs", "bench", "contracts", ".ci")
PATTERNS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*[A-Za-z0-9+/=]{20}"),
    "a cloud's key": re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    "a forge's token": re.compile(r"\b(?:ghp|gho|glpat|github_pat)[-_][A-Za-z0-9_-]{20,}"),
    "a token for JSON": re.compile(r"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\."),
    "an address with its password": re.compile(
        r"\b(?:postgresql|mysql|nats)://\w+:[^@\s{}<>*]+@\w"
    ),
}


def secrets_in(text: str) -> list[str]:
    return [what for what, pattern in PATTERNS.items() if pattern.search(text)]


def test_sec_ops_01_the_repository_holds_no_secret() -> None:
    files = [path for name in OURS for path in (ROOT / name).rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.is_file()]
    found = {
        (path.relative_to(ROOT).as_posix(), kind)
        for path in files
        if path.suffix not in {".pyc", ".webp", ".woff2"} and "__pycache__" not in path.parts
        for kind in secrets_in(path.read_text("utf-8", errors="replace"))
    }
    invented = {one for one in found if one[0].startswith("tests/") and "an address" in one[1]}
    assert found - invented == set()  # tests invent passwords for servers that are not there


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        (("-----BEGIN EC ", "PRIVATE KEY-----\n", "MHcCAQEEIOs9k3Jx2p1QbTnZ"), "a private key"),
        (("AKIA", "ABCDEFGHIJKLMNOP"), "a cloud's key"),
        (("ghp", "_", "a1B2c3D4e5F6g7H8i9J0k1"), "a forge's token"),
        (("eyJ", "hbGciOiJFUzI1NiJ9", ".eyJ", "zdWIiOiJEMTAyNDcifQ", ".x"), "a token for JSON"),
        (("postgresql", "://his:hunter2@db/his"), "an address with its password"),
    ],
)
def test_the_scan_finds_what_it_is_for(parts: tuple[str, ...], kind: str) -> None:
    assert secrets_in("".join(parts)) == [kind]


def test_sec_ops_01_a_systems_token_is_replaced_without_a_stop(tmp_path: Path) -> None:
    """Both tokens are good while a system changes over; then the old one is not."""
    old, new = "b94d27b9934d3e08", "2c26b46b68ffc68f"
    path = tmp_path / "systems.toml"
    callers = Callers(path)

    def told(*tokens: str) -> None:
        lines = [f'[his-{n}]\ntoken_sha256 = "{_digest(t)}"\n' for n, t in enumerate(tokens)]
        path.with_suffix(".new").write_text("".join(lines), "utf-8")
        path.with_suffix(".new").replace(path)
        callers.look()

    def admitted(token: str) -> bool:
        try:
            callers.admit({"authorization": f"Bearer {token}"}, "10.3.0.7", "POST /orders", 0.0)
        except Refusal:
            return False
        return True

    for tokens in ((old,), (old, new), (new,)):
        told(*tokens)
        assert (admitted(old), admitted(new)) == (old in tokens, new in tokens)


def _digest(token: str) -> str:
    from hashlib import sha256

    return sha256(token.encode()).hexdigest()


@pytest.mark.full
@pytest.mark.timeout(240)
def test_sec_ops_01_no_secret_of_a_running_rack_is_in_arguments_environment_or_logs(
    tmp_path: Path,
) -> None:
    data = tmp_path / "hospital"
    plan = tmp_path / "demo.toml"
    plan.write_text("[rack]\nmllp_port = 0\n")
    with rack_up(data, str(plan), "--demo", seconds=120) as rack:
        secrets = {*_passwords(data)}
        assert len(secrets) > 20, "the broker's users and the demo's log-ins have passwords"
        assert [p for p in _holding(data, secrets) if p.stat().st_mode & 0o077] == []
        for pid in (rack.process.pid, rack.nats(), *rack.pids()):
            seen = Path(f"/proc/{pid}/cmdline").read_bytes() + _environment(pid)
            assert [s for s in secrets if s.encode() in seen] == [], pid
        logs = [p for p in data.rglob("*") if p.is_file() and p.suffix in {".log", ".jsonl"}]
        assert logs
        written = b"".join(path.read_bytes() for path in logs)
        assert [s for s in secrets if s.encode() in written] == []


def _passwords(data: Path) -> Iterator[str]:
    yield from (login["password"] for login in json.loads((data / "demo-logins.json").read_text()))
    for path in data.rglob("nats.conf"):
        users = json.loads(path.read_text())["authorization"]["users"]
        yield from (user["password"] for user in users)


def _holding(data: Path, secrets: set[str]) -> list[Path]:
    files = (path for path in data.rglob("*") if path.is_file())
    return [path for path in files if any(s.encode() in path.read_bytes() for s in secrets)]


def _environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()

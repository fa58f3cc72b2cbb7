"""The start-up gate 启动门禁: a production hospital does not open with an open door (SEC-GATE-02).

Every failed check is said at once, each in a sentence that names the setting to change.
"""

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from .folder import DataFolder, HospitalSettings

OWNERS = frozenset({"postgres", "root", "admin", "sa"})


class Listeners(msgspec.Struct, frozen=True):
    """Where this start would listen."""

    host: str
    mllp_port: int
    demo: bool


def failed_checks(folder: DataFolder, hospital: HospitalSettings, at: Listeners) -> list[str]:
    """What keeps this hospital shut. A demo keeps only the rules that hold for everybody."""
    problems = []
    if at.demo and not is_loopback(at.host):
        problems.append(
            f"The demo listens on this machine only; --host {at.host} is refused while demo "
            f"log-ins exist. Use --host 127.0.0.1, or --no-demo with a production profile."
        )
    if hospital.profile == "production":
        problems += _production(folder, hospital, at)
    return problems


def _production(folder: DataFolder, hospital: HospitalSettings, at: Listeners) -> list[str]:
    checks = (
        (
            at.demo or folder.is_demo or (folder.path / "demo-logins.json").exists(),
            f"{folder.path} holds a demo hospital or --demo was asked for. A demo never becomes a "
            f"production hospital: begin with an empty folder and --no-demo.",
        ),
        (
            not hospital.keys or _inside(Path(hospital.keys), folder.path),
            "Keys must not lie beside the data: set keys in [hospital] to a folder outside the "
            "data folder, such as a mounted secret.",
        ),
        (
            not hospital.anchors or _inside(Path(hospital.anchors), folder.path),
            "Audit anchors must lie where this server's administrator cannot change them: set "
            "anchors in [hospital] to a place outside the data folder.",
        ),
        (
            not is_loopback(at.host) and not hospital.tls_by,
            "The portal would speak plain HTTP on the network: put a TLS proxy in front and name "
            "it in tls_by, or listen on 127.0.0.1.",
        ),
        (
            at.mllp_port != 0 and not is_loopback(at.host) and not hospital.mllp_insecure,
            "HL7 would be read without TLS from the network: give the reason and its end in "
            "mllp_insecure, listen on 127.0.0.1, or switch it off with --mllp-port 0.",
        ),
        (
            not is_loopback(at.host) and not hospital.hosts,
            "No host names are set: list the names the portal is reached by in hosts.",
        ),
        (
            hospital.debug,
            "debug is on: errors would show more than a trace id. Take it out.",
        ),
        (
            _is_owner(hospital.database),
            "The database is reached as its owner: give the hospital a role of its own.",
        ),
    )
    return [sentence for failed, sentence in checks if failed]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _is_owner(database: str) -> bool:
    return bool(database) and (urlsplit(database).username or "") in OWNERS

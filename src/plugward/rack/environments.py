"""Environments 独立环境: a board from outside gets its own packages, never the hospital's.

Prepared while everything runs, however long it takes: the package is built, an environment is made,
the board is examined in it. Nothing is fetched: what it needs beside Plugward lies in a folder of
wheels. Where a lock is given, only what has its hashes is installed.
"""

import asyncio
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from .confine import Policy, command
from .control.words import ActRefused, Say, Source
from .examine import Examined

PATIENCE_S = 300.0
LOOK_S = 60.0
WORDS_MAX = 600
MARK = 12


class Installed(msgspec.Struct, frozen=True):
    """A board in an environment of its own, ready to run."""

    environment: str
    examined: Examined

    @property
    def name(self) -> str:
        return self.examined.name

    @property
    def python(self) -> str:
        return str(Path(self.environment) / "bin" / "python")


async def install(source: Source, folder: Path, plugged: Sequence[str], say: Say) -> Installed:
    """Build, install, examine. Raises ``ActRefused`` with everything that is wrong."""
    scratch = folder / "building"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        wheel = await _wheel(source, scratch, say)
        mark = sha256(wheel.read_bytes()).hexdigest()[:MARK]
        environment = folder / "environments" / f"{wheel.name.split('-')[0]}-{mark}"
        if not (environment / "whole").exists():
            shutil.rmtree(environment, ignore_errors=True)
            say("making an environment of its own")
            await _environment(environment, wheel, source)
        examined = await look(environment, plugged)
        if examined.problems:
            raise ActRefused(" ".join(examined.problems))
        return Installed(str(environment), examined)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def is_wheel(path: Path) -> bool:
    """Whether it is one, and not something to build. Raises ``ActRefused`` if it is neither."""
    if path.suffix == ".whl" and path.is_file():
        return True
    if not (path / "pyproject.toml").is_file():
        raise ActRefused(f"{path} is neither a wheel nor a folder with a pyproject.toml.")
    return False


async def _wheel(source: Source, scratch: Path, say: Say) -> Path:
    path = Path(source.path)
    if is_wheel(path):
        return path
    say(f"building {path.name}")
    copy = await asyncio.to_thread(_copied, path, scratch)
    build = ["wheel", "--no-deps", "--no-build-isolation", *_offline(source), "-w", str(scratch)]
    build.append(str(copy))
    await _pip(build, f"{path} could not be built", source, scratch)
    return next(wheels_in(scratch))


def _copied(path: Path, scratch: Path) -> Path:
    """It is built where its build can reach nothing else, and where no checkout is around it."""
    (scratch / ".gitignore").touch()
    left = shutil.ignore_patterns(".git", ".venv", "__pycache__", "dist", "build", ".*_cache")
    return Path(shutil.copytree(path, scratch / path.name, ignore=left))


def wheels_in(folder: Path) -> Iterator[Path]:
    return folder.glob("*.whl")


async def _environment(environment: Path, wheel: Path, source: Source) -> None:
    environment.parent.mkdir(parents=True, exist_ok=True)
    await _run([sys.executable, "-m", "venv", "--without-pip", str(environment)], "no environment")
    # Plugward and what it is made of come from the rack, unless the board brings its own.
    (site_packages(environment) / "zz_plugward.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})\n", "utf-8"
    )
    into = ["--python", str(environment / "bin" / "python"), "install", *_offline(source)]
    problem = f"{wheel.name} could not be installed"
    if source.lock:
        locked = [*into, "--require-hashes", "-r", source.lock]
        await _pip(locked, "what the lock names could not be installed", source, environment)
        into.append("--no-deps")
    await _pip([*into, str(wheel)], problem, source, environment, wheel)
    (environment / "whole").touch()


def _offline(source: Source) -> list[str]:
    """Nothing is asked of the network; the folder of wheels is all there is."""
    wheels = ["--find-links", source.wheels] if source.wheels else []
    return ["--no-index", "--disable-pip-version-check", "--quiet", *wheels]


def site_packages(environment: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))


async def look(environment: Path, plugged: Sequence[str]) -> Examined:
    """The board, examined by its own interpreter, which can read and say, and nothing else."""
    python = str(environment / "bin" / "python")
    packages = str(site_packages(environment))
    asked = command(
        reading(environment), [python, "-m", "plugward.rack.examine", packages, *plugged]
    )
    out = await _run(asked, "the board could not be examined", seconds=LOOK_S)
    try:
        return msgspec.json.decode(out.strip().rpartition(b"\n")[2], type=Examined)
    except msgspec.DecodeError:
        raise ActRefused(
            "The board says something else than what it is when it is loaded."
        ) from None


def reading(environment: Path) -> Policy:
    """What its interpreter must read: itself, its packages, Plugward."""
    paths = {str(environment), sys.prefix, sys.base_prefix, sys.exec_prefix}
    paths |= {path for path in sys.path if Path(path).is_dir()}
    return Policy(read=sorted(paths), write=[], connect=[])


async def _pip(
    arguments: Sequence[str], problem: str, source: Source, kept: Path, *more: Path
) -> None:
    """A package's own code may run while it is built or installed: it is held back too."""
    policy = reading(kept)
    given = [source.path, source.wheels, source.lock, *map(str, more)]
    policy["read"] += [path for path in given if path]
    policy["write"] = [str(kept)]
    await _run(command(policy, [sys.executable, "-m", "pip", *arguments]), problem)


async def _run(program: Sequence[str], problem: str, *, seconds: float = PATIENCE_S) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *program,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ActRefused(
            f"{problem[0].upper()}{problem[1:]}: no end after {seconds:.0f} s."
        ) from None
    if process.returncode:
        lines = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
        raise ActRefused(f"{problem[0].upper()}{problem[1:]}: {' '.join(lines[-4:])[:WORDS_MAX]}")
    return out

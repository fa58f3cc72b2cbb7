"""What is built on: licences, known weaknesses, and the list of it all (SEC-OPS-10).

    python .ci/dependencies.py [--advisories FILE] [--sbom FILE]

Looks at what is installed of Plugward's own requirements, extras for running it included. Works
without a network: advisories come from a file in the OSV format (one object a line), dated by who
brings it. Exit 1 with a sentence for each finding.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
EXTRAS = ("", "rack", "soap", "sftp")
ALLOWED = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|Zlib|EPL|CNRI|Unlicense)\b",
    re.IGNORECASE,
)
FORBIDDEN = re.compile(r"\b(A?GPL|GNU (Affero )?General|SSPL|BUSL|Commons Clause)", re.IGNORECASE)


def installed(name: str = "plugward") -> dict[str, Distribution]:
    """Everything that running it takes, by name."""
    found: dict[str, Distribution] = {}
    waiting = [(name, extra) for extra in EXTRAS]
    seen = set(waiting)
    while waiting:
        package, extra = waiting.pop()
        try:
            one = distribution(package)
        except ModuleNotFoundError:
            continue  # of another platform
        found[canonicalize_name(package)] = one
        for text in one.requires or ():
            wish = Requirement(text)
            if wish.marker is not None and not wish.marker.evaluate({"extra": extra}):
                continue
            for more in ("", *wish.extras):
                if (wish.name, more) not in seen:
                    seen.add((wish.name, more))
                    waiting.append((wish.name, more))
    return found


def licence_of(metadata: Any) -> str:
    """The expression, else the classifiers that name one, else the first line of the text."""
    if metadata.get("License-Expression"):
        return str(metadata["License-Expression"])
    classified = [c.rpartition(":: ")[2] for c in metadata.get_all("Classifier") or ()
                  if c.startswith("License ::") and not c.endswith("OSI Approved")]  # fmt: skip
    first = str(metadata.get("License") or "").strip().partition("\n")[0]
    return " AND ".join(classified) or first


def refused_licence(licence: str) -> bool:
    """Whether no alternative of the expression is allowed."""
    alternatives = licence.split(" OR ")
    return not any(ALLOWED.search(one) and not FORBIDDEN.search(one) for one in alternatives)


def known_weaknesses(versions: dict[str, str], advisories: Iterable[Any]) -> Iterator[str]:
    """A sentence for each advisory that hits an installed version."""
    for advisory in advisories:
        for affected in advisory.get("affected", ()):
            name = canonicalize_name(affected["package"]["name"])
            if name in versions and _is_hit(Version(versions[name]), affected):
                yield f"{name} {versions[name]} has the known weakness {advisory['id']}"


def _is_hit(version: Version, affected: Any) -> bool:
    if str(version) in affected.get("versions", ()):
        return True
    for span in affected.get("ranges", ()):
        inside = False
        for event in span["events"]:
            if "introduced" in event:
                inside = inside or version >= Version(event["introduced"])
            elif "fixed" in event:
                inside = inside and version < Version(event["fixed"])
        if inside:
            return True
    return False


def sbom(found: dict[str, Distribution]) -> dict[str, Any]:
    """CycloneDX: what is in it, in which version, under which licence."""
    parts = [
        {
            "type": "library",
            "name": name,
            "version": one.version,
            "purl": f"pkg:pypi/{name}@{one.version}",
            "licenses": [{"license": {"name": licence_of(one.metadata) or "unknown"}}],
        }
        for name, one in sorted(found.items())
    ]
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": parts}


def main(arguments: list[str]) -> int:
    """Print every finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--advisories", type=Path)
    parser.add_argument("--sbom", type=Path)
    given = parser.parse_args(arguments)
    found = installed()
    others = {name: one for name, one in found.items() if name != "plugward"}
    findings = [
        f"{name} is under {licence or 'no licence'}, which is not on the list"
        for name, one in others.items()
        if refused_licence(licence := licence_of(one.metadata))
    ]
    if given.advisories:
        lines = given.advisories.read_text("utf-8").splitlines()
        versions = {name: one.version for name, one in others.items()}
        findings += known_weaknesses(versions, (json.loads(line) for line in lines if line))
    if given.sbom:
        given.sbom.write_text(json.dumps(sbom(found), indent=1), "utf-8")
    print("\n".join(findings) or f"{len(others)} packages: nothing found")  # noqa: T201 - the output
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

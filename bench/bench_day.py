"""A simulated hospital day of 1,000 visits: time, memory, audit. Run: python bench/bench_day.py"""

import json
import subprocess
import sys
from pathlib import Path

PLUGWARD = Path(sys.executable).with_name("plugward")
VISITS = 1_000


def main() -> int:
    """Print one line a figure; the exit code is the day's own."""
    result = subprocess.run(  # noqa: S603 - our own command
        [PLUGWARD, "day", "--visits", str(VISITS), "--seed", "1", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not result.stdout:
        print(result.stderr)
        return result.returncode or 1
    body = json.loads(result.stdout)
    day, audit = body["day"], body["audit"]
    breaches = sum(len(line["breaches"]) for line in audit["lines"])
    print(
        f"day: {VISITS} visits in {day['seconds']:.1f} s, {day['calls']:,} calls, "
        f"{day['calls_per_s']:,.0f}/s"
    )
    print(f"day: seen {day['seen']}, finished {day['finished']}, parked {len(day['parked'])}")
    print(f"day: peak memory {body['peak_memory_mb']:.0f} MB")
    print(f"day: {len(audit['lines'])} proofs, {breaches} breaches")
    return result.returncode


if __name__ == "__main__":
    raise SystemExit(main())

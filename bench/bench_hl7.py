"""How many ADT messages a second the codec parses, five fields read from each.

.venv/bin/python bench/bench_hl7.py [--seconds 2]
"""

import argparse
import json
import sys
import time

from mllp_load import build

from plugward.commons.hub.hl7 import parse

FIELDS = ("MSH-9.2", "MSH-10", "PID-3", "PID-5.2", "PV1-19")


def rate(raw: bytes, seconds: float) -> float:
    """Messages per second of processor time: the best of five rounds, the machine is shared."""
    best = 0.0
    for _ in range(5):
        count, began = 0, time.process_time()
        while (spent := time.process_time() - began) < seconds / 5:
            for _ in range(500):
                message = parse(raw)
                for field in FIELDS:
                    message[field]
            count += 500
        best = max(best, count / spent)
    return best


def main() -> int:
    """Print one JSON object."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=2.0)
    seconds = options.parse_args().seconds
    before, after = build("adt")
    raw = (before + b"0" * 16 + after)[1:-2]
    chinese = raw.decode().replace("UNICODE UTF-8", "GB18030").encode("gb18030")
    figures = {
        "bytes": len(raw),
        "utf8_per_s": round(rate(raw, seconds)),
        "gb18030_per_s": round(rate(chinese, seconds)),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

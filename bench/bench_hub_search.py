"""How long finding messages takes in a ledger of a million.

    .venv/bin/python bench/bench_hub_search.py [--messages 1000000] [--data DIR]

Fills a ledger with ADT messages of 718 bytes by its own statements (each with one delivery, one in
ten thousand given up), then searches it by every field and by time. Milliseconds, the worst of
five; ``all`` says whether the whole ledger was looked through in that time.
"""

import argparse
import json
import sqlite3
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from plugward.commons.hub import ledger_tables as sql
from plugward.commons.hub.search import PAGE, Wanted, search

BODY = b"MSH|^~\\&|HIS|MAIN|HUB|MAIN|20261122101500||ADT^A01^ADT_A01|" + b"x" * 658
START = datetime(2026, 11, 1, tzinfo=UTC)
KINDS = ("ADT^A01", "ADT^A04", "ADT^A08", "ORM^O01", "ORU^R01", "SIU^S12", "DFT^P03")
SENDERS = 138
BATCH = 20_000
MS_MAX = 200


def fill(connection: sqlite3.Connection, count: int) -> None:
    """Message ``n`` comes ``n`` hundredths of a second after the start."""
    sql.prepare(connection)
    first = sql.micros(START)
    for low in range(1, count + 1, BATCH):
        numbers = range(low, min(low + BATCH, count + 1))
        connection.execute("BEGIN")
        connection.executemany(
            sql.ADD,
            [
                (
                    n.to_bytes(16, "big"),
                    f"S{n % SENDERS}|C1",
                    f"M{n:09d}",
                    n.to_bytes(32, "big"),
                    KINDS[n % len(KINDS)],
                    "main 10.0.0.1",
                    first + n * 10_000,
                    BODY,
                    f"P{n % 100_000:06d}",
                    b"",
                    "AA",
                )
                for n in numbers
            ],
        )
        rows = [(f"D{n % 20}", f"P{n % 100_000:06d}", n, 0, "r@1", None) for n in numbers]
        connection.executemany(sql.ENQUEUE, rows)
        connection.execute(
            "UPDATE delivery SET state = CASE seq % 10000 WHEN 0 THEN 'dead' ELSE 'done' END, "
            "attempts = 1 WHERE state = 'pending'"
        )
        connection.execute("COMMIT")


def main() -> int:
    """Print one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, help="a folder on the disk to measure")
    options = parser.parse_args()
    count: int = options.messages
    middle = START + timedelta(seconds=count / 200)
    asked = {
        "newest": Wanted(),
        "control id": Wanted(text=f"M{count // 3:09d}"),
        "patient": Wanted(text="P004711"),
        "kind": Wanted(kind="ORU^R01"),
        "sender": Wanted(sender="S17|C1"),
        "kind and sender": Wanted(kind="ORU^R01", sender="S17|C1"),
        "destination": Wanted(destination="D7"),
        "dead": Wanted(state="dead"),
        "a minute": Wanted(since=middle, until=middle + timedelta(minutes=1)),
        "kind in an hour": Wanted(kind="SIU^S12", since=middle, until=middle + timedelta(hours=1)),
        "nobody": Wanted(text="nobody"),
        "no such kind": Wanted(kind="ZZZ^Z99"),
    }
    slowest = 0.0
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        connection = sql.connect(Path(folder) / "ledger.sqlite")
        began = time.perf_counter()
        fill(connection, count)
        size = (Path(folder) / "ledger.sqlite").stat().st_size
        ratio = round(size / (count * len(BODY)), 2)
        filled = round(time.perf_counter() - began, 1)
        print(json.dumps({"messages": count, "filled_s": filled, "ledger_by_payload": ratio}))
        for name, wanted in asked.items():
            times = []
            for _ in range(5):
                began = time.perf_counter()
                found = search(connection, wanted)
                times.append((time.perf_counter() - began) * 1000)
            slowest = max(slowest, *times)
            line = {"search": name, "ms": round(max(times), 1), "found": len(found.messages)}
            print(json.dumps({**line, "all": len(found.messages) == PAGE or not found.before}))
        connection.close()
    return 0 if slowest <= MS_MAX else 1


if __name__ == "__main__":
    raise SystemExit(main())

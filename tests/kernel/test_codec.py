"""Codec: what is decoded for the first time in several threads at once is decoded whole."""

import subprocess
import sys

FIRST_DECODED_TWICE_AT_ONCE = """
import sys, threading
from msgspec import defstruct
from plugward.kernel.codec import from_json, to_json, unpack, pack
sys.setswitchinterval(1e-6)
for _ in range(30):
    parts = {f"p{n}": defstruct(f"P{n}", [("f", int)]) for n in range(30)}
    whole = defstruct("Whole", list(parts.items()))
    value = whole(**{name: part(1) for name, part in parts.items()})
    text, packed, together = to_json(value), pack(value), threading.Barrier(4)
    def read(decode, data):
        together.wait()
        assert decode(data, whole) == value
    ways = 2 * [(from_json, text), (unpack, packed)]
    threads = [threading.Thread(target=read, args=way) for way in ways]
    [t.start() for t in threads]
    [t.join() for t in threads]
"""


def test_threads_that_meet_a_message_for_the_first_time_together_survive() -> None:
    """msgspec alone dies of this (a half-known struct): the process would be gone."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_DECODED_TWICE_AT_ONCE], check=False, timeout=60
    )
    assert done.returncode == 0

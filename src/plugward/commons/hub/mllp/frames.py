"""Frames 帧: cut a stream of bytes at VT … FS CR, whatever way the network split it.

None of the three bytes occurs inside a UTF-8 or GB18030 character, so bytes are cut undecoded.
"""

START = b"\x0b"
END = b"\x1c\x0d"
_BETWEEN = b"\r\n \t"  # what sloppy senders put between frames

FRAME_BYTES_MAX = 10 * 1024 * 1024


def frame(message: bytes) -> bytes:
    """A message ready for the wire. A framing byte inside it would cut it: that is refused."""
    if START in message or END[:1] in message:
        raise ValueError("the message contains an MLLP framing byte")
    return START + message + END


class Cutter:
    """Collects bytes and gives back whole frames; remembers what made the stream unusable."""

    __slots__ = ("_buffer", "_scanned", "broken", "limit")

    def __init__(self, limit: int = FRAME_BYTES_MAX) -> None:
        self.limit = limit
        self.broken = ""
        self._buffer = bytearray()
        self._scanned = 0

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._buffer)

    def held(self, count: int) -> bytes:
        """The first bytes of the unfinished frame, for a refusal that names its sender."""
        head = bytes(self._buffer[: count + 1]).removeprefix(START)
        return head.split(START, 1)[0].split(END[:1], 1)[0]

    def give_up(self, reason: str) -> None:
        """Take nothing more and let go of what is held."""
        self.broken = reason
        self._buffer.clear()

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now. After ``broken`` is set, nothing more comes."""
        if self.broken:
            return []
        buffer = self._buffer
        is_one = not buffer and data[:1] == START and 0 < data.find(END) == len(data) - 2
        if is_one and len(data) <= self.limit and data.find(START, 1) < 0:
            return [data[1:-2]]  # nearly every read is exactly one frame
        buffer += data
        frames: list[bytes] = []
        while self._cut_one(frames):
            pass
        return frames

    def _cut_one(self, frames: list[bytes]) -> bool:
        buffer = self._buffer
        if not self._scanned:
            before = len(buffer) - len(buffer.lstrip(_BETWEEN))
            del buffer[:before]
            if not buffer:
                return False
            if buffer[:1] != START:
                self.broken = "bytes outside a frame"
                return False
        end = buffer.find(END, max(self._scanned - 1, 0))
        again = buffer.find(START, max(self._scanned, 1), end if end >= 0 else len(buffer))
        if again >= 0:
            self.broken = "a frame begins inside a frame"
            return False
        if (end if end >= 0 else len(buffer)) > self.limit:
            self.broken = f"a frame is longer than {self.limit} bytes"
            return False
        if end < 0:
            self._scanned = len(buffer)
            return False
        frames.append(bytes(buffer[1:end]))
        del buffer[: end + 2]
        self._scanned = 0
        return True

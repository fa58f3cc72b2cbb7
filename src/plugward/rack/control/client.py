"""The other end of the control socket: what the command line says, and what it is answered."""

import socket
from pathlib import Path

import msgspec

from .server import short_path
from .words import FOLDER, LINE_BYTES_MAX, SOCKET, Act, ActRefused, Line, Say, silent, token_of

PATIENCE_S = 600.0  # an out-of-tree board is built first


def tell(
    data: Path,
    verb: str,
    board: str = "",
    *,
    anyway: bool = False,
    wheels: str = "",
    lock: str = "",
    beside: str = "",
    say: Say = silent,
) -> Line:
    """Have it done. Raises ``ActRefused`` in words, also when no hospital runs there."""
    try:
        token = token_of(data).read_text("ascii")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE_S)
            with short_path(data / FOLDER, SOCKET) as path:
                connection.connect(path)
            act = Act(token, verb, board, anyway, wheels, lock, beside)
            connection.sendall(msgspec.json.encode(act) + b"\n")
            return _heard(connection, say)
    except (FileNotFoundError, ConnectionRefusedError):
        raise ActRefused(
            f"No hospital runs on {data}. Start it with plugward up or plugward rack up, "
            f"or name its folder with --data."
        ) from None
    except PermissionError:
        raise ActRefused(
            f"{data} belongs to another user. Run this as the user the hospital runs as."
        ) from None
    except OSError as error:
        raise ActRefused(f"The hospital on {data} did not answer: {error}.") from None


def _heard(connection: socket.socket, say: Say) -> Line:
    with connection.makefile("rb") as answers:
        while answer := answers.readline(LINE_BYTES_MAX):
            line = msgspec.json.decode(answer, type=Line)
            if line.refused:
                raise ActRefused(line.refused)
            if line.is_last:
                return line
            say(line.said)
    raise ActRefused("The hospital stopped before it answered; look at plugward rack status.")

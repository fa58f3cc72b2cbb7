"""Shares 连接份额: how many connections each process may have, so that a server is never swamped.

Every process keeps one for the audit log and at least one for each of its boards; what is left of
the budget is shared out evenly. All boards that could be plugged in count, so nobody's share
changes while the rack runs. The server itself holds each login to its share.
"""

from collections.abc import Sequence

from .plan import Seat

RESERVED = 4  # the rack itself: its audit lane, preparing tables, looking who is connected
EACH_MAX = 8


class BudgetTooSmall(Exception):
    """The processes need more connections than there may be; one sentence."""


def share_of_each_board(seats: Sequence[Seat], budget: int) -> int:
    """What every board of every process gets. Raises ``BudgetTooSmall``."""
    boards = sum(len(seat.boards) for seat in seats)
    least = RESERVED + len(seats) + boards
    if least > budget:
        raise BudgetTooSmall(
            f"{len(seats)} processes need at least {least} connections, connections_max is "
            f"{budget}: raise it, put boards into groups, or take replicas away."
        )
    return min(EACH_MAX, 1 + (budget - least) // max(boards, 1))


def share_of(seat: Seat, each: int) -> int:
    """All connections of one process."""
    return len(seat.boards) * each + 1

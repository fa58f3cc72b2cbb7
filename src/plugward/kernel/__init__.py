"""The kernel 内核: runs boards, knows no medicine. This façade is what boards import.

Kernel modules never import it, only each other.
"""

from plugward.kit.message import Clinical, Identifying, Masked, Message, Plain, Secret, Sensitive

from .binding import Here, partial_answers
from .board import Board
from .contracts import Merge, Route, command, contract, query
from .envelope import Actor, ActorKind
from .events.declare import Carried, Carrying, every, on
from .facts import fact
from .lifecycle import Lifecycle, WrongState
from .manifest import Settings
from .message import Event
from .outside import Outside
from .proofs import Finding, proof
from .refusals import (
    AlreadyThere,
    BadRequest,
    ChangedMeanwhile,
    Conflict,
    Fault,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    RequestExpired,
    RequestReused,
    Unavailable,
)
from .sagas import Saga, Sagas, Then, Turn, begin, done, refused, unknown
from .store.columns import Blob, Fen, Id, Moment, Price, State, Stored
from .store.store import Store, in_work, reading
from .store.tables import BoardTables
from .store.work import Reading, Work, messages

__all__ = [
    "Actor",
    "ActorKind",
    "AlreadyThere",
    "BadRequest",
    "Blob",
    "Board",
    "BoardTables",
    "Carried",
    "Carrying",
    "ChangedMeanwhile",
    "Clinical",
    "Conflict",
    "Event",
    "Fault",
    "Fen",
    "Finding",
    "Forbidden",
    "Here",
    "Id",
    "Identifying",
    "Invalid",
    "Lifecycle",
    "Masked",
    "Merge",
    "Message",
    "Moment",
    "NotFound",
    "Outside",
    "Plain",
    "Price",
    "Reading",
    "Refusal",
    "RequestExpired",
    "RequestReused",
    "Route",
    "Saga",
    "Sagas",
    "Secret",
    "Sensitive",
    "Settings",
    "State",
    "Store",
    "Stored",
    "Then",
    "Turn",
    "Unavailable",
    "Work",
    "WrongState",
    "begin",
    "command",
    "contract",
    "done",
    "every",
    "fact",
    "in_work",
    "messages",
    "on",
    "partial_answers",
    "proof",
    "query",
    "reading",
    "refused",
    "unknown",
]

"""Refusals 拒绝: the closed list of ways a call can end other than well (style guide §4).

A refusal is the hospital's rules saying no. Each is a class in its board's contract; its
docstring is the Chinese sentence, ``strings/en.toml`` has the English one, and ``{field}`` in
either is filled in at the edge.
"""

from typing import Any, ClassVar, dataclass_transform

import msgspec

from plugward.kit.message import Plain

KNOWN_REFUSALS: "dict[str, type[Refusal]]" = {}
"""The classes by the code they travel under: the kernel's, and those of imported contracts."""


@dataclass_transform(kw_only_default=True)
class Refusal(Exception):
    """The rules say no. Never retried by a machine."""

    http_status: ClassVar[int] = 409
    kind: ClassVar[str] = "refusal"
    board: ClassVar[str] = ""
    fields_type: ClassVar[type[msgspec.Struct]]
    sent_as: str = ""  # the code of a class that this process does not know

    def __init_subclass__(cls) -> None:
        names: dict[str, Any] = {}
        defaults: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            for name, annotation in vars(base).get("__annotations__", {}).items():
                if "ClassVar" not in str(annotation) and base is not Refusal:
                    names[name] = annotation
                    if name in vars(base):
                        defaults[name] = vars(base)[name]
        if taken := sorted(names.keys() & _TAKEN):
            raise TypeError(
                f"{cls.__name__}: a refusal's field may not be called {', '.join(taken)}"
            )
        fields = [
            (name, kind, defaults[name]) if name in defaults else (name, kind)
            for name, kind in names.items()
        ]
        cls.fields_type = msgspec.defstruct(cls.__name__, fields, kw_only=True)
        KNOWN_REFUSALS.setdefault(cls.__name__, cls)
        super().__init_subclass__()

    @classmethod
    def belongs_to(cls, board: str) -> None:
        """The class stands in this board's contract: its code gets the board's name."""
        cls.board = board
        KNOWN_REFUSALS[f"{board}.{cls.__name__}"] = cls

    def __init__(self, **fields: Any) -> None:
        self.values = self.fields_type(**fields)
        for name in self.values.__struct_fields__:
            setattr(self, name, getattr(self.values, name))
        super().__init__(self.code)

    @property
    def code(self) -> str:
        """``board.ClassName``, the name on the wire."""
        if self.sent_as:
            return self.sent_as
        return f"{self.board}.{type(self).__name__}" if self.board else type(self).__name__

    def __reduce__(self) -> Any:
        return (_rebuild, (type(self), msgspec.structs.asdict(self.values)))

    def __str__(self) -> str:
        return f"{self.code}({', '.join(self.values.__struct_fields__)})"


_TAKEN = {"code", "kind", "board", "values", "args", "sent_as", "http_status", "fields_type"}


def _rebuild(cls: type[Refusal], fields: dict[str, Any]) -> Refusal:
    return cls(**fields)


Refusal.fields_type = msgspec.defstruct("Refusal", [], kw_only=True)


class Invalid(Refusal):
    """请求内容不合法，请检查后重试。"""

    http_status = 422
    kind = "invalid"


class NotFound(Refusal):
    """没有找到该记录。"""

    http_status = 404
    kind = "not-found"


class Forbidden(Refusal):
    """没有权限进行此操作。"""

    http_status = 403
    kind = "forbidden"


class Conflict(Refusal):
    """当前状态不允许此操作，请刷新后再试。"""

    http_status = 409
    kind = "conflict"


class BadRequest(Invalid):
    """请求内容不合法：{where}。"""

    where: Plain


class NotAllowed(Forbidden):
    """没有权限：{permission}。"""

    permission: Plain


class ChangedMeanwhile(Conflict):
    """该记录刚被他人修改，请刷新后再试。"""


class AlreadyThere(Conflict):
    """该编号或记录已经存在，不能重复登记。"""


class RequestReused(Conflict):
    """同一请求编号已用于不同的内容。"""


class RequestExpired(Conflict):
    """该请求已过期，请重新发起。"""


class NotOffered(Conflict):
    """该院区由其他系统办理（{by}），请在该系统中操作。"""

    by: Plain


class NotAcrossCampuses(Conflict):
    """不能跨院区汇总，请选择院区后再查询：{operation}。"""

    operation: Plain


class SignInNeeded(Forbidden):
    """请先登录。"""

    http_status = 401


class Unavailable(Exception):
    """Another board or system did not answer: it may or may not have happened.

    ``board`` is who did not answer, ``reason`` one of ``unplugged``, ``time-out``, ``overloaded``,
    ``stopped``, ``storage``, ``link``. Retry with the same request id, or ask.
    """

    http_status = 503

    def __init__(self, board: str, reason: str = "time-out") -> None:
        self.board = board
        self.reason = reason
        super().__init__(f"{board}: {reason}")


class Fault(Exception):
    """Our bug or broken data. Carries a trace id and no text of the cause."""

    http_status = 500

    def __init__(self, trace: str) -> None:
        self.trace = trace
        super().__init__(f"fault, trace {trace}")


KERNEL_REFUSALS: tuple[type[Refusal], ...] = (
    BadRequest,
    NotAllowed,
    ChangedMeanwhile,
    AlreadyThere,
    RequestReused,
    RequestExpired,
    NotOffered,
    NotAcrossCampuses,
    SignInNeeded,
)

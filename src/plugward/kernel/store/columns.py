"""Column types 列类型: ids, states, money, instants and messages, the same on every database."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, LargeBinary, Numeric, String, Text
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from plugward.kit.money import Money, UnitPrice

from ..codec import from_json, to_json

E = TypeVar("E", bound=StrEnum)


class Id(TypeDecorator[UUID]):
    """A UUID: native on PostgreSQL, sixteen bytes elsewhere, so that keys stay short."""

    impl = LargeBinary(16)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.UUID(as_uuid=True))
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.BINARY(16))
        return dialect.type_descriptor(LargeBinary(16))

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return value.bytes

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:  # noqa: ARG002 - SQLAlchemy's signature
        return value if value is None or isinstance(value, UUID) else UUID(bytes=bytes(value))


class State(TypeDecorator[E], Generic[E]):
    """A ``StrEnum`` kept as its value."""

    impl = String(32)
    cache_ok = True

    def __init__(self, kind: type[E]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else str(self.kind(value).value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> E | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else self.kind(value)


class Fen(TypeDecorator[Money]):
    """``Money`` as whole fen."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Money | int | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        return value.fen if isinstance(value, Money) else value

    def process_result_value(self, value: int | None, dialect: Dialect) -> Money | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else Money(fen=int(value))

    def coerce_compared_value(self, op: Any, value: Any) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        return self


class Price(TypeDecorator[UnitPrice]):
    """``UnitPrice`` with four decimals; as text on SQLite, which has no decimals."""

    impl = Numeric(18, 4)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: Any = String(24) if dialect.name == "sqlite" else Numeric(18, 4)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: UnitPrice | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return str(value.yuan) if dialect.name == "sqlite" else value.yuan

    def process_result_value(self, value: Any, dialect: Dialect) -> UnitPrice | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else UnitPrice(yuan=Decimal(str(value)))


class Moment(TypeDecorator[datetime]):
    """An aware UTC instant with microseconds, sortable on every database."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time cannot be stored")
        utc = value.astimezone(UTC)
        if dialect.name == "postgresql":
            return utc
        if dialect.name == "sqlite":
            delta = utc - _EPOCH
            return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
        return utc.replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return datetime.fromtimestamp(value // 1_000_000, UTC).replace(
                microsecond=value % 1_000_000
            )
        found: datetime = value
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Stored(TypeDecorator[Any]):
    """Any message type, kept as JSON text. Not for anything that is searched by."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.LONGTEXT())
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else to_json(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else from_json(value.encode(), self.kind)


class Blob(TypeDecorator[bytes]):
    """Bytes without a length limit that a board would meet."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.LONGBLOB())
        return dialect.type_descriptor(LargeBinary())

"""Formulas 公式: the small language reports are written in, and nothing else gets through.

A measure is made of sums over a fact's columns, and of other measures::

    count()   count(state = 'finished')   distinct(encounter)   sum(amount_fen, category = 'drug')
    avg(minutes(arrived_at, started_at))   median(…)   p90(…)   p95(…)   min(…)   max(…)
    ratio(drugs, revenue)   share(visits)   revenue - refunds

Inside a sum, names are columns; outside, they are measures. Conditions know ``= != < <= > >=``,
``and or not``, ``x in ('a', 'b')`` and ``x is null``; ``day(t)``, ``hour(t)``, ``month(d)`` and
``minutes(from, to)`` speak hospital time. A formula is read into a tree and written out as SQL
from that tree: text of a definition never becomes SQL.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from .warehouse import quoted

ZONE_HOURS = 8  # hospital time is UTC+8 all year
DEPTH_MAX = 40
LENGTH_MAX = 1_000


class FormulaError(ValueError):
    """A formula that says nothing; tells what and where."""


class Literal(msgspec.Struct, frozen=True):
    value: str | int | float | bool | None


class Name(msgspec.Struct, frozen=True):
    name: str


class Apply(msgspec.Struct, frozen=True):
    function: str
    arguments: tuple["Node", ...]


class Infix(msgspec.Struct, frozen=True):
    sign: str
    left: "Node"
    right: "Node"


class Prefix(msgspec.Struct, frozen=True):
    sign: str
    inner: "Node"


class Among(msgspec.Struct, frozen=True):
    inner: "Node"
    values: tuple[Literal, ...]
    is_negated: bool


class IsNull(msgspec.Struct, frozen=True):
    inner: "Node"
    is_negated: bool


Node = Literal | Name | Apply | Infix | Prefix | Among | IsNull


# ── reading ───────────────────────────────────────────────────────────────────────────────────
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|'(?P<text>[^']*)'"
    r"|(?P<sign>!=|<=|>=|[-+*/(),=<>]))"
)
_WORDS = frozenset({"and", "or", "not", "in", "is", "null", "true", "false"})
_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(text: str) -> Node:
    """The tree of a formula. Raises ``FormulaError``."""
    if len(text) > LENGTH_MAX:
        raise FormulaError(f"a formula has at most {LENGTH_MAX} characters")
    reader = _Reader(text)
    node = reader.either(0)
    if reader.token.kind != "end":
        raise reader.wrong("nothing more")
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0

    @property
    def token(self) -> _Token:
        return self._tokens[self._next]

    def wrong(self, expected: str) -> FormulaError:
        found = self.token.text or "the end"
        return FormulaError(f"{self._text!r}: expected {expected} at {self.token.at}, not {found}")

    def take(self, *texts: str) -> str:
        """The next token if it is one of these words or signs, else nothing."""
        if self.token.kind in ("sign", "word") and self.token.text in texts:
            self._next += 1
            return self._tokens[self._next - 1].text
        return ""

    def need(self, text: str) -> None:
        if not self.take(text):
            raise self.wrong(text)

    def either(self, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise FormulaError(f"{self._text!r}: nested too deeply")
        node = self._both(depth)
        while self.take("or"):
            node = Infix("or", node, self._both(depth))
        return node

    def _both(self, depth: int) -> Node:
        node = self._negated(depth)
        while self.take("and"):
            node = Infix("and", node, self._negated(depth))
        return node

    def _negated(self, depth: int) -> Node:
        if self.take("not"):
            return Prefix("not", self._negated(depth + 1) if depth < DEPTH_MAX else self._deep())
        return self._compared(depth)

    def _deep(self) -> Node:
        raise FormulaError(f"{self._text!r}: nested too deeply")

    def _compared(self, depth: int) -> Node:
        node = self._sum(depth)
        if sign := self.take(*_COMPARISONS):
            return Infix(sign, node, self._sum(depth))
        if self.take("is"):
            negated = bool(self.take("not"))
            self.need("null")
            return IsNull(node, negated)
        negated = bool(self.take("not"))
        if self.take("in"):
            self.need("(")
            values = [self._value()]
            while self.take(","):
                values.append(self._value())
            self.need(")")
            return Among(node, tuple(values), negated)
        if negated:
            raise self.wrong("in")
        return node

    def _sum(self, depth: int) -> Node:
        node = self._product(depth)
        while sign := self.take("+", "-"):
            node = Infix(sign, node, self._product(depth))
        return node

    def _product(self, depth: int) -> Node:
        node = self._single(depth)
        while sign := self.take("*", "/"):
            node = Infix(sign, node, self._single(depth))
        return node

    def _single(self, depth: int) -> Node:
        if self.take("-"):
            return Prefix("-", self._single(depth + 1) if depth < DEPTH_MAX else self._deep())
        if self.take("("):
            node = self.either(depth + 1)
            self.need(")")
            return node
        if self.token.kind == "name":
            name = self.token.text
            self._next += 1
            return self._call(name, depth) if self.take("(") else Name(name)
        return self._value()

    def _call(self, function: str, depth: int) -> Apply:
        arguments: list[Node] = []
        if not self.take(")"):
            arguments.append(self.either(depth + 1))
            while self.take(","):
                arguments.append(self.either(depth + 1))
            self.need(")")
        return Apply(function, tuple(arguments))

    def _value(self) -> Literal:
        token = self.token
        if token.kind == "number":
            self._next += 1
            return Literal(float(token.text) if "." in token.text else int(token.text))
        if token.kind == "text":
            self._next += 1
            return Literal(token.text)
        if word := self.take("true", "false", "null"):
            return Literal({"true": True, "false": False, "null": None}[word])
        raise self.wrong("a value")


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise FormulaError(f"{text!r}: cannot read what stands at {at}")
        group = match.lastgroup or ""
        kind, word = group, match.group(group)
        if kind == "name" and word.lower() in _WORDS:
            kind, word = "word", word.lower()
        found.append(_Token(kind, word, match.start(group)))
        at = match.end()
    found.append(_Token("end", "", end))
    return found


# ── writing: conditions and values over one fact ──────────────────────────────────────────────
_LOCAL = f"(%s + INTERVAL {ZONE_HOURS} HOUR)"
_SCALARS: dict[str, tuple[int, Callable[..., str]]] = {
    "day": (1, lambda t: f"CAST({_LOCAL % t} AS DATE)"),
    "hour": (1, lambda t: f"CAST(extract(hour FROM {_LOCAL % t}) AS INTEGER)"),
    "month": (1, lambda d: f"strftime({d}, '%Y-%m')"),
    "minutes": (2, lambda a, b: f"(date_diff('second', {a}, {b}) / 60.0)"),
    "if": (3, lambda c, a, b: f"CASE WHEN {c} THEN {a} ELSE {b} END"),
}
_SIGNS = {"=": "=", "!=": "<>", "and": "AND", "or": "OR"}


def scalar_sql(  # noqa: C901, PLR0911 - one branch a kind of node
    node: Node, columns: Mapping[str, str]
) -> str:
    """A value or condition over one row. ``columns`` has the SQL of every column by name."""
    match node:
        case Literal(value):
            return literal_sql(value)
        case Name(name):
            if name not in columns:
                raise FormulaError(f"there is no column {name}")
            return columns[name]
        case Infix("/", left, right):
            return f"({scalar_sql(left, columns)} / nullif({scalar_sql(right, columns)}, 0))"
        case Infix(sign, left, right):
            written = _SIGNS.get(sign, sign)
            return f"({scalar_sql(left, columns)} {written} {scalar_sql(right, columns)})"
        case Prefix(sign, inner):
            return f"({'NOT' if sign == 'not' else '-'} {scalar_sql(inner, columns)})"
        case Among(inner, values, negated):
            listed = ", ".join(literal_sql(value.value) for value in values)
            return f"({scalar_sql(inner, columns)} {'NOT ' if negated else ''}IN ({listed}))"
        case IsNull(inner, negated):
            return f"({scalar_sql(inner, columns)} IS {'NOT ' if negated else ''}NULL)"
        case Apply(function, arguments):
            count, write = _SCALARS.get(function, (-1, str))
            if count != len(arguments):
                raise FormulaError(f"there is no {function} of {len(arguments)} values")
            return write(*(scalar_sql(argument, columns) for argument in arguments))


def literal_sql(value: str | int | float | bool | None) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


# ── writing: measures ─────────────────────────────────────────────────────────────────────────
class Aggregate(msgspec.Struct, frozen=True):
    """One sum over one source: its SQL, which rows it looks at, and what it is of nothing."""

    source: str
    sql: str
    condition: str
    is_zero: bool


_AGGREGATES: dict[str, str] = {
    "distinct": "count(DISTINCT {})",
    "sum": "sum({})",
    "avg": "avg({})",
    "min": "min({})",
    "max": "max({})",
    "median": "quantile_cont({}, 0.5)",
    "p90": "quantile_cont({}, 0.9)",
    "p95": "quantile_cont({}, 0.95)",
}
_OUTER = {"ratio": 2, "share": 1}
TWO = 2


class Measures:
    """The measures of one report, written over the sums they need."""

    def __init__(self, columns: Mapping[str, Mapping[str, str]]) -> None:
        self._columns = columns  # by source
        self.aggregates: list[Aggregate] = []
        self.first: dict[str, int] = {}  # the first sum of each measure: where a drill goes
        self._written: dict[str, str] = {}
        self._used: list[int] = []  # the sums of the measure being written

    def add(self, name: str, text: str, source: str) -> str:
        """Write a measure; later ones may name it."""
        self._used = []
        node = parse(text)
        sql = self._outer(node, source)
        named = _first_name(node)
        if self._used:
            self.first[name] = self._used[0]
        elif named is not None:
            self.first[name] = self.first[named]
        else:
            raise FormulaError(f"{text!r} measures nothing")
        self._written[name] = sql
        return sql

    def _outer(self, node: Node, source: str) -> str:  # noqa: PLR0911 - one a kind of node
        match node:
            case Literal(value) if isinstance(value, int | float) and not isinstance(value, bool):
                return repr(value)
            case Name(name):
                if name not in self._written:
                    raise FormulaError(f"there is no measure {name} above this one")
                return self._written[name]
            case Infix("/", left, right):
                return f"({self._outer(left, source)} / nullif({self._outer(right, source)}, 0))"
            case Infix(sign, left, right) if sign in "+-*":
                return f"({self._outer(left, source)} {sign} {self._outer(right, source)})"
            case Prefix("-", inner):
                return f"(- {self._outer(inner, source)})"
            case Apply(function, arguments) if function in _OUTER:
                return self._compared(function, arguments, source)
            case Apply(function, arguments):
                return self._aggregate(function, arguments, source)
        raise FormulaError("conditions belong inside a sum")

    def _compared(self, function: str, arguments: tuple[Node, ...], source: str) -> str:
        if len(arguments) != _OUTER[function]:
            raise FormulaError(f"{function} takes {_OUTER[function]} measures")
        parts = [self._outer(argument, source) for argument in arguments]
        if function == "share":
            return f"({parts[0]} / nullif(max(CASE WHEN is_total THEN {parts[0]} END) OVER (), 0))"
        return f"({parts[0]} / nullif({parts[1]}, 0))"

    def _aggregate(self, function: str, arguments: tuple[Node, ...], source: str) -> str:
        columns = self._columns[source]
        if function == "count":
            if len(arguments) > 1:
                raise FormulaError("count takes one condition at most")
            condition = scalar_sql(arguments[0], columns) if arguments else "TRUE"
            return self._keep(Aggregate(source, "count(*)", condition, is_zero=True))
        pattern = _AGGREGATES.get(function)
        if pattern is None or not 1 <= len(arguments) <= TWO:
            raise FormulaError(f"there is no {function} of {len(arguments)} values")
        value = scalar_sql(arguments[0], columns)
        condition = f"{value} IS NOT NULL"
        if len(arguments) == TWO:
            condition = f"({condition} AND {scalar_sql(arguments[1], columns)})"
        zero = function in ("distinct", "sum")
        return self._keep(Aggregate(source, pattern.format(value), condition, is_zero=zero))

    def _keep(self, aggregate: Aggregate) -> str:
        if aggregate not in self.aggregates:
            self.aggregates.append(aggregate)
        number = self.aggregates.index(aggregate)
        self._used.append(number)
        name = f"a{number}"
        return f"coalesce({name}, 0)" if aggregate.is_zero else name


def _first_name(node: Node) -> str | None:
    match node:
        case Name(name):
            return name
        case Infix(_, left, right):
            return _first_name(left) or _first_name(right)
        case Prefix(_, inner):
            return _first_name(inner)
        case Apply(_, arguments):
            return next((n for a in arguments if (n := _first_name(a))), None)
    return None


def column_sql(alias: str, name: str) -> str:
    """A column as SQL writes it."""
    return f"{alias}.{quoted(name)}"

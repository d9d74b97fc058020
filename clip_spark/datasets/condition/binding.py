"""*Pure.* A tree is bound to columns: each name must be one, each operator must fit, and SQL is written for DuckDB.

Columns are called c0, c1, ... in that SQL, so no name reaches it. Patterns of LIKE become prefix, suffix and substring
tests or expressions of RE2, whose time is linear; DuckDB's own matching tries every way that a pattern could fit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import pyarrow as pa

from clip_spark.datasets.condition.columns import (
    BOOLEAN,
    DATE,
    LIST,
    NOTHING,
    NUMBER,
    OPAQUE,
    TEXT,
    TIMES,
    TIMESTAMP,
    family_of,
    path_to,
    type_at,
)  # fmt: skip
from clip_spark.datasets.condition.grammar import Node, parse_condition
from clip_spark.datasets.condition.literals import MOST_DIGITS, is_number, quoted, time_sql
from clip_spark.datasets.condition.patterns import like_sql
from clip_spark.datasets.condition.words import mistake
from clip_spark.errors import SpecError, nearest

MOST_PATTERN = 1000
"""Characters."""
FUNCTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "lower": ((TEXT,), TEXT),
    "upper": ((TEXT,), TEXT),
    "trim": ((TEXT,), TEXT),
    "length": ((TEXT,), NUMBER),
    "starts_with": ((TEXT, TEXT), BOOLEAN),
    "ends_with": ((TEXT, TEXT), BOOLEAN),
    "contains": ((TEXT, TEXT), BOOLEAN),
    "abs": ((NUMBER,), NUMBER),
    "year": (TIMES, NUMBER),
    "month": (TIMES, NUMBER),
    "day": (TIMES, NUMBER),
}
"""Functions whose parameters have fixed kinds; those of time take a date or a timestamp."""
OTHERS = ("coalesce", "list_contains", "regexp_matches")


@dataclass(frozen=True)
class Value:
    """A bound piece: its SQL, and what it is."""

    sql: str
    family: str


@dataclass(frozen=True)
class Bound:
    """A condition that can run.

    Attributes:
        sql: over columns c0, c1, ...
        columns: names of these columns.
        patterns: regular expressions in it with their places.
    """

    sql: str
    columns: tuple[str, ...]
    patterns: tuple[tuple[int, str], ...]

    def may_lie_in(self) -> list[str]:
        """*Pure.* Columns of records that may hold what is named: `a.b` is a column of that name, or a field of `a`."""
        return [found for name in self.columns for found in accumulate(name.split("."), "{}.{}".format)]


def bind(condition: str, schema: pa.Schema) -> Bound:
    """*Pure.* A condition for records of some columns.

    Raises:
        SpecError: it cannot be used; the message says where, and which columns there are.
    """
    binder, found = _bound(condition, schema, (BOOLEAN, NOTHING), " and no condition; compare it with something.")
    return Bound(found.sql, tuple(binder.columns), tuple(binder.patterns))


def bind_value(expression: str, schema: pa.Schema) -> Bound:
    """*Pure.* A number that is computed of each record; of a time its microseconds, and 1 for what is true.

    Raises:
        SpecError: it cannot be used; the message says where, and which columns there are.
    """
    families = (NUMBER, BOOLEAN, *TIMES)
    binder, found = _bound(expression, schema, families, ", and a number or a time is needed.")
    sql = f"epoch_us(CAST({found.sql} AS TIMESTAMP))" if found.family in TIMES else found.sql
    return Bound(f"CAST({sql} AS DOUBLE)", tuple(binder.columns), tuple(binder.patterns))


def _bound(text: str, schema: pa.Schema, families: Collection[str], end: str) -> tuple[_Binder, Value]:
    """*Pure.* An expression and its value; raises SpecError, which `end` completes, if that is of no family named."""
    binder, root = _Binder(text, schema), parse_condition(text)
    found = binder.value(root)
    if found.family not in families:
        raise binder.wrong(root, f"this is a {found.family}{end}")
    return binder, found


@dataclass
class _Binder:
    condition: str
    schema: pa.Schema
    columns: list[str] = field(default_factory=list)
    patterns: list[tuple[int, str]] = field(default_factory=list)

    def wrong(self, node: Node, what: str) -> SpecError:
        return mistake(self.condition, node.place, what)

    def value(self, node: Node) -> Value:
        """Bind one node; the methods below are named after the kinds of nodes."""
        rule: Callable[[Node], Value] = getattr(self, f"_{node.kind.replace(' ', '_')}")
        return rule(node)

    def _need(self, node: Node, *families: str) -> Value:
        """Bind a node that must be of one of some families."""
        found = self.value(node)
        if found.family not in (*families, NOTHING):
            raise self.wrong(node, f"this is a {found.family}, and a {' or '.join(families)} is needed.")
        return found

    def _number(self, node: Node) -> Value:
        if not is_number(node.value):
            raise self.wrong(node, f"a number has at most {MOST_DIGITS} digits and is finite.")
        return Value(node.value, NUMBER)

    def _text(self, node: Node) -> Value:
        return Value(quoted(node.value), TEXT)

    def _boolean(self, node: Node) -> Value:
        return Value(node.value, BOOLEAN)

    def _null(self, node: Node) -> Value:
        return Value("NULL", NOTHING)

    def _date(self, node: Node) -> Value:
        return self._time(node, DATE)

    def _timestamp(self, node: Node) -> Value:
        return self._time(node, TIMESTAMP)

    def _time(self, node: Node, family: str) -> Value:
        """A text as a time."""
        found = time_sql(node.value, date_only=family == DATE)
        if found is None:
            raise self.wrong(node, "this is no time such as '2024-05-31' or '2024-05-31 18:00:00'.")
        return Value(found, DATE if found.startswith("DATE") else TIMESTAMP)

    def _column(self, node: Node) -> Value:
        name = self._name(node)
        family = family_of(type_at(self.schema, name) or pa.null())
        if family == NOTHING:
            return Value("NULL", NOTHING)
        if name not in self.columns:
            self.columns.append(name)
        return Value(f"c{self.columns.index(name)}", family)

    def _name(self, node: Node) -> str:
        names = self.schema.names
        if names.count(node.value) == 1:
            return node.value
        alike = [name for name in names if name.lower() == node.value.lower()]
        if len(alike) == 1:
            return alike[0]
        if not alike and path_to(self.schema, node.value):
            return node.value
        why = f"several columns are called '{node.value}'." if alike else "there is no such column."
        raise self.wrong(node, f"{why}{nearest(node.value, names)} The columns are {', '.join(names)}.")

    def _compare(self, node: Node) -> Value:
        left, right = self._aligned(node, node.parts)
        return Value(f"({left.sql} {node.value.upper()} {right.sql})", BOOLEAN)

    def _aligned(self, node: Node, parts: Sequence[Node]) -> list[Value]:
        """Bind parts that are compared with each other; texts beside times are read as times."""
        found = [self.value(part) for part in parts]
        families = {value.family for value in found} - {NOTHING}
        if families & set(TIMES):
            pairs = zip(parts, found, strict=True)
            found = [self._time(part, DATE) if part.kind == "text" else value for part, value in pairs]
            families = {value.family for value in found} - {NOTHING}
        for part, value in zip(parts, found, strict=True):
            if value.family == OPAQUE or value.family.startswith(LIST):
                raise self.wrong(part, _no_comparison(value.family))
        if len(families) > 1 and not families <= set(TIMES):
            first, second = sorted(families)[:2]
            raise self.wrong(
                node, f"a {first} and a {second} are compared; texts stand in single quotes, numbers do not."
            )
        return found

    def _in(self, node: Node) -> Value:
        value, *items = self._aligned(node, node.parts)
        return Value(f"({value.sql} IN ({', '.join(item.sql for item in items)}))", BOOLEAN)

    def _between(self, node: Node) -> Value:
        value, low, high = self._aligned(node, node.parts)
        return Value(f"({value.sql} BETWEEN {low.sql} AND {high.sql})", BOOLEAN)

    def _like(self, node: Node) -> Value:
        value = self._need(node.parts[0], TEXT)
        if value.family == NOTHING:
            return Value("CAST(NULL AS BOOLEAN)", BOOLEAN)
        self._check_length(node.parts[1])
        escape = node.parts[2].value if len(node.parts) > 2 else ""
        sql = like_sql(value.sql, node.parts[1].value, escape, any_case=node.kind == "ilike")
        if sql is None:
            raise self.wrong(node.parts[1], "the pattern ends in its escape character.")
        return Value(sql, BOOLEAN)

    _ilike = _like

    def _is_null(self, node: Node) -> Value:
        return Value(f"({self.value(node.parts[0]).sql} IS NULL)", BOOLEAN)

    def _not(self, node: Node) -> Value:
        return Value(f"(NOT {self._need(node.parts[0], BOOLEAN).sql})", BOOLEAN)

    def _and(self, node: Node) -> Value:
        terms = [self._need(part, BOOLEAN).sql for part in node.parts]
        return Value(f"({f' {node.kind.upper()} '.join(terms)})", BOOLEAN)

    _or = _and

    def _arithmetic(self, node: Node) -> Value:
        left, right = (self._need(part, NUMBER).sql for part in node.parts)
        return Value(f"({left} {node.value} {right})", NUMBER)

    def _minus(self, node: Node) -> Value:
        return Value(f"(- {self._need(node.parts[0], NUMBER).sql})", NUMBER)

    def _cast(self, node: Node) -> Value:
        if node.value == NUMBER:  # a text that is no number is null: nothing fails on a record
            number = f"TRY_CAST({self._need(node.parts[0], NUMBER, TEXT).sql} AS DOUBLE)"
            return Value(f"CASE WHEN isfinite({number}) THEN {number} END", NUMBER)
        return Value(f"CAST({self._need(node.parts[0], NUMBER, TEXT, BOOLEAN, *TIMES).sql} AS VARCHAR)", TEXT)

    def _call(self, node: Node) -> Value:
        name = node.value
        if name in OTHERS:
            return getattr(self, f"_{name}")(node)
        if name not in FUNCTIONS:
            known = sorted([*FUNCTIONS, *OTHERS])
            raise self.wrong(node, f"there is no such function.{nearest(name, known)} There are {', '.join(known)}.")
        families, result = FUNCTIONS[name]
        if families == TIMES:
            self._count(node, 1)
            return Value(f"{name}({self._need(node.parts[0], *TIMES).sql})", result)
        self._count(node, len(families))
        if name == "length" or name == "contains":
            return self._of_text_or_list(node)
        parts = [self._need(part, family).sql for part, family in zip(node.parts, families, strict=True)]
        return Value(f"{name}({', '.join(parts)})", result)

    def _count(self, node: Node, wanted: int) -> None:
        if len(node.parts) != wanted:
            raise self.wrong(node, f"{node.value} takes {wanted} values; here are {len(node.parts)}.")

    def _of_text_or_list(self, node: Node) -> Value:
        first = self.value(node.parts[0])
        if first.family.startswith(LIST):
            return self._list_contains(node) if node.value == "contains" else Value(f"len({first.sql})", NUMBER)
        parts = ", ".join(self._need(part, TEXT).sql for part in node.parts)
        return Value(f"{node.value}({parts})", FUNCTIONS[node.value][1])

    def _list_contains(self, node: Node) -> Value:
        self._count(node, 2)
        values = self.value(node.parts[0])
        if not values.family.startswith(LIST):
            raise self.wrong(node.parts[0], f"this is a {values.family} and no list.")
        family, wanted = values.family.removeprefix(LIST), node.parts[1]
        item = self._time(wanted, DATE) if family in TIMES and wanted.kind == "text" else self._need(wanted, family)
        return Value(f"list_contains({values.sql}, {item.sql})", BOOLEAN)

    def _coalesce(self, node: Node) -> Value:
        found = self._aligned(node, node.parts)
        families = [value.family for value in found if value.family != NOTHING]
        family = TIMESTAMP if TIMESTAMP in families else (families or [NOTHING])[0]
        return Value(f"coalesce({', '.join(value.sql for value in found)})", family)

    def _check_length(self, pattern: Node) -> None:
        if len(pattern.value) > MOST_PATTERN:
            raise self.wrong(pattern, f"a pattern has at most {MOST_PATTERN} characters.")

    def _regexp_matches(self, node: Node) -> Value:
        self._count(node, 2)
        value, pattern = self._need(node.parts[0], TEXT), node.parts[1]
        if pattern.kind != "text":
            raise self.wrong(pattern, "the regular expression must be a text in single quotes.")
        self._check_length(pattern)
        self.patterns.append((pattern.place, pattern.value))
        return Value(f"regexp_matches({value.sql}, {quoted(pattern.value)})", BOOLEAN)


def _no_comparison(family: str) -> str:
    if family == OPAQUE:
        return "a column of this type can only be asked whether it IS NULL."
    return "a list cannot be compared; ask list_contains(list, value) or length(list)."

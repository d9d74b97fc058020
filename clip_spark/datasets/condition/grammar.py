"""*Pure.* The grammar of conditions: words become a tree, and what has no rule here is refused.

condition   = every { OR every }
every       = term { AND term }
term        = NOT term | value [ test ]
test        = (= <> < <= > >= | IS [NOT] DISTINCT FROM) value | IS [NOT] (NULL | TRUE | FALSE)
            | [NOT] (IN "(" value {"," value} ")" | BETWEEN value AND value | (LIKE | ILIKE) text [ESCAPE text])
value       = product { (+ | -) product };  product = part { (* | / | %) part };  part = - part | single
single      = number | text | TRUE | FALSE | NULL | DATE text | TIMESTAMP text | CAST "(" condition AS TEXT ")"
            | name "(" condition {"," condition} ")" | name | "(" condition ")"

A name may lead inside a column: `a.b`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clip_spark.datasets.condition.words import Word, mistake, words_of
from clip_spark.errors import SpecError

MOST_DEPTH, MOST_NODES = 40, 1500
"""Parentheses in each other, or sums in a row; names, literals and operators in all, without the entries of an IN."""
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
RESERVED = ("and", "as", "between", "cast", "escape", "from", "ilike", "in", "is", "like", "not", "or", "select")
"""Words that no column can be called without double quotes."""


@dataclass(frozen=True)
class Node:
    """One piece of a condition.

    Attributes:
        kind: number, text, boolean, null, date, timestamp, column, call, compare, in, between, like, ilike, is null,
            not, and, or, arithmetic, minus, cast.
        value: what it says: a literal, a name, an operator.
        place: characters before it.
        parts: what it is made of.
    """

    kind: str
    value: str
    place: int
    parts: tuple[Node, ...] = ()


def parse_condition(condition: str) -> Node:
    """*Pure.* The tree of a condition.

    Raises:
        SpecError: it is none; the message says where.
    """
    return _Parser(condition).whole()


class _Parser:
    """Recursive descent; each method reads one rule of the grammar above."""

    def __init__(self, condition: str) -> None:
        self._condition, self._words = condition, words_of(condition)
        self._at, self._depth, self._nodes = 0, 0, 0

    def whole(self) -> Node:
        if self._next.kind == "end":
            raise SpecError("The condition is empty; write one such as `n = 2`.")
        found = self._condition_rule()
        if self._next.kind != "end":
            raise self._unexpected("and, or, or the end")
        return found

    @property
    def _next(self) -> Word:
        return self._words[self._at]

    def _take(self, *words: str) -> Word | None:
        """The next word if it is one of these."""
        found = self._next
        if not found.says(*words):
            return None
        self._at += 1
        return found

    def _need(self, word: str) -> Word:
        if (found := self._take(word)) is None:
            raise self._unexpected(word)
        return found

    def _need_text(self, after: str) -> Word:
        found = self._next
        if found.kind != "text":
            raise self._unexpected(f"a text in single quotes after {after}")
        self._at += 1
        return found

    def _unexpected(self, expected: str) -> SpecError:
        return mistake(self._condition, self._next.place, f"expected here: {expected}.")

    def _node(self, kind: str, value: str, place: int, *parts: Node) -> Node:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise mistake(
                self._condition, place, f"it has more than {MOST_NODES} parts; IN takes any number of values."
            )
        return Node(kind, value, place, parts)

    def _deeper(self, place: int) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise mistake(self._condition, place, f"it is nested more than {MOST_DEPTH} deep.")

    def _condition_rule(self) -> Node:
        self._deeper(self._next.place)
        terms = [self._every()]
        while self._take("or"):
            terms.append(self._every())
        self._depth -= 1
        return terms[0] if len(terms) == 1 else self._node("or", "", terms[0].place, *terms)

    def _every(self) -> Node:
        terms = [self._term()]
        while self._take("and"):
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else self._node("and", "", terms[0].place, *terms)

    def _term(self) -> Node:
        if word := self._take("not"):
            self._deeper(word.place)
            found = self._node("not", "", word.place, self._term())
            self._depth -= 1
            return found
        return self._test(self._value())

    def _test(self, value: Node) -> Node:
        if word := self._take(*COMPARISONS):
            return self._node("compare", word.value, word.place, value, self._value())
        if word := self._take("is"):
            return self._is(value, word.place)
        negation = self._take("not")
        if word := self._take("in", "between", "like", "ilike"):
            rules = {"in": self._in, "between": self._between}
            found = rules.get(word.value.lower(), self._like)(value, word)
            return found if negation is None else self._node("not", "", negation.place, found)
        if negation is not None:
            raise self._unexpected("in, between, like or ilike")
        return value

    def _is(self, value: Node, place: int) -> Node:
        negation = self._take("not")
        if self._take("distinct"):
            self._need("from")
            kind = "is not distinct from" if negation else "is distinct from"
            return self._node("compare", kind, place, value, self._value())
        if word := self._take("true", "false"):
            literal = self._node("boolean", word.value.lower(), word.place)
            kind = "is distinct from" if negation else "is not distinct from"
            return self._node("compare", kind, place, value, literal)
        self._need("null")
        found = self._node("is null", "", place, value)
        return found if negation is None else self._node("not", "", negation.place, found)

    def _in(self, value: Node, word: Word) -> Node:
        self._need("(")
        counted = self._nodes
        items = [self._value()]
        while self._take(","):
            items.append(self._value())
            if not items[-1].parts:
                self._nodes = counted
        self._need(")")
        return self._node("in", "", word.place, value, *items)

    def _between(self, value: Node, word: Word) -> Node:
        low = self._value()
        self._need("and")
        return self._node("between", "", word.place, value, low, self._value())

    def _like(self, value: Node, word: Word) -> Node:
        kind = word.value.lower()
        pattern = self._need_text(kind)
        parts = [value, self._node("text", pattern.value, pattern.place)]
        if self._take("escape"):
            escape = self._need_text("escape")
            if len(escape.value) != 1:
                raise mistake(self._condition, escape.place, "escape takes one character.")
            parts.append(self._node("text", escape.value, escape.place))
        return self._node(kind, "", word.place, *parts)

    def _value(self) -> Node:
        return self._chain(self._product, "+", "-")

    def _product(self) -> Node:
        return self._chain(self._part, "*", "/", "%")

    def _chain(self, rule: Callable[[], Node], *operators: str) -> Node:
        found, before = rule(), self._depth
        while word := self._take(*operators):
            self._deeper(word.place)  # for the tree of a chain leans to the left
            found = self._node("arithmetic", word.value, word.place, found, rule())
        self._depth = before
        return found

    def _part(self) -> Node:
        if word := self._take("-"):
            self._deeper(word.place)
            found = self._node("minus", "", word.place, self._part())
            self._depth -= 1
            return found
        return self._single()

    def _single(self) -> Node:
        word = self._next
        if self._take("("):
            found = self._condition_rule()
            self._need(")")
            return found
        if word.kind in ("number", "text"):
            self._at += 1
            return self._node(word.kind, word.value, word.place)
        if word.kind == "quoted" or (word.kind == "name" and not word.says(*RESERVED)):
            self._at += 1
            return self._named(word)
        if self._take("cast"):
            return self._cast(word)
        what = "a column, a number, a text in single quotes, a function or a parenthesis"
        raise self._unexpected(f"{what}; a column called so stands in double quotes" if word.kind == "name" else what)

    def _named(self, word: Word) -> Node:
        if word.says("true", "false"):
            return self._node("boolean", word.value.lower(), word.place)
        if word.says("null"):
            return self._node("null", "", word.place)
        if word.says("date", "timestamp") and self._next.kind == "text":
            text = self._need_text(word.value)
            return self._node(word.value.lower(), text.value, text.place)
        if word.kind == "name" and self._take("("):
            return self._call(word)
        return self._node("column", word.value, word.place)

    def _call(self, word: Word) -> Node:
        parts = [self._condition_rule()]
        while self._take(","):
            parts.append(self._condition_rule())
        self._need(")")
        return self._node("call", word.value.lower(), word.place, *parts)

    def _cast(self, word: Word) -> Node:
        self._need("(")
        inner = self._condition_rule()
        self._need("as")
        if self._take("double"):
            kind = "number"
        elif self._take("text", "varchar"):
            kind = "text"
        else:
            raise self._unexpected("text or double; a cast to another type could fail on a record")
        self._need(")")
        return self._node("cast", kind, word.place, inner)

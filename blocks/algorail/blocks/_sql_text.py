"""Reading SQL text far enough to refuse what a lookup may not be; the database itself enforces the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator

from algorail.engine.kit.errors import Problem

_TOKENS = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<quoted>  '(?:[^']|'')*' | "(?:[^"]|"")*" | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<open>    /\* | ['"] )
    | (?P<cast>    :: )
    | (?P<name>    :[A-Za-z_]\w* )
    | (?P<stop>    ; )
    | (?P<word>    [A-Za-z_]\w* )
    | (?P<other>   \S )
    """,
    re.VERBOSE | re.DOTALL,
)

_FIRST_WORDS = frozenset({"SELECT", "WITH", "VALUES"})


def parameters(sql: str) -> list[str]:
    """Names of the `:name` parameters, in order of first use; those in strings and comments are text."""
    return list(dict.fromkeys(text[1:] for kind, text in _read(sql) if kind == "name"))


def problems(sql: str) -> Iterator[Problem]:
    """What is wrong with it as one reading statement."""
    tokens = [(kind, text) for kind, text in _read(sql) if kind != "comment"]
    if not tokens:
        yield _problem("db-sql", "the SQL is empty", "write one SELECT")
        return
    if any(kind == "open" for kind, _ in tokens):
        yield _problem("db-sql", "a quote or a comment is not closed", "close it")
    first = tokens[0][1].upper()
    if first not in _FIRST_WORDS:
        yield _problem(
            "db-not-read", f"a lookup reads: it starts with SELECT, WITH or VALUES, not {first}", ""
        )
    if any(kind == "stop" for kind, _ in tokens[:-1]):
        yield _problem("db-statements", "there is more than one statement", "write one, without ';' inside")
    if re.search(r"%s\b|%\(\w+\)s", _TOKENS.sub(_without_text, sql)):
        yield _problem("db-sql", "values are not formatted into SQL", "write :name and declare the input")


def escaped(sql: str) -> str:
    """The SQL for SQLAlchemy's `text()`, which would take `:name` in a string for a parameter."""
    return _TOKENS.sub(_without_colons, sql).rstrip().rstrip(";")


def _without_text(match: re.Match[str]) -> str:
    return "''" if match.lastgroup in {"quoted", "tag", "comment"} else match[0]


def _without_colons(match: re.Match[str]) -> str:
    if match.lastgroup == "comment":
        return " "
    return match[0].replace(":", "\\:") if match.lastgroup in {"quoted", "tag"} else match[0]


def _read(sql: str) -> Iterator[tuple[str, str]]:
    for match in _TOKENS.finditer(sql):
        kind = match.lastgroup or ""
        yield ("quoted" if kind == "tag" else kind), match[0]


def _problem(code: str, message: str, cure: str) -> Problem:
    return Problem(code=code, message=message, port="sql", cure=cure)

"""Messages of the CEL library, said so that the author of an expression can mend it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from algorail.engine.kit.errors import AlgorailError, InvalidInput, LimitExceeded, Problem
from algorail.engine.lang._cel_rules import suggest

_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '(.*)'")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")

_PYTHON = {
    "and": "CEL writes && for and",
    "or": "CEL writes || for or",
    "not": "CEL writes ! for not",
    "is": "CEL writes == for is",
    "if": "CEL writes condition ? yes : no",
    "else": "CEL writes condition ? yes : no",
    "True": "CEL writes true",
    "False": "CEL writes false",
    "None": "CEL writes null",
    "len": "CEL writes size(…)",
    "str": "CEL writes string(…)",
    "float": "CEL writes double(…)",
    "lower": "there is no lower(); use matches() with (?i)",
}
"""Words of Python that people write in CEL, and what to write instead."""

_NULL = "ask x != null before"
_FUNCTIONS = (
    "size",
    "has",
    "matches",
    "contains",
    "startsWith",
    "endsWith",
    "exists",
    "all",
    "exists_one",
    "string",
    "int",
    "double",
)
_MIXED = (
    "CEL never mixes whole numbers and decimals: write 1.0 instead of 1, or convert with double(…) or int(…)"
)


def compile_problems(text: str, message: str, names: Sequence[str]) -> list[Problem]:
    """The problems in what the library says of a text."""
    problems = []
    for line, column, what in _ERROR.findall(message):
        problem = _problem(text, what, _FUNCTIONS if _is_call(text, int(line), int(column)) else names)
        where = f"line {line}, column {column}"
        problems.append(problem if int(line) < 0 else _placed(problem, where))
    if not problems or "recursion" in message:
        cure = "use fewer operators in a row, or split the expression"
        return [Problem(code="cel-limit", message="the expression nests too deeply", cure=cure)]
    return problems


def _is_call(text: str, line: int, column: int) -> bool:
    lines = text.splitlines()
    return 0 < line <= len(lines) and lines[line - 1][column - 1 : column] == "("


def problem_at(text: str, offset: int, problem: Problem) -> Problem:
    """The problem with its place in the text."""
    before = text[:offset]
    column = offset - (before.rfind("\n") + 1) + 1
    return _placed(problem, f"line {before.count(chr(10)) + 1}, column {column}")


def _placed(problem: Problem, where: str) -> Problem:
    return Problem(
        code=problem.code,
        message=f"{problem.message} ({where})",
        expected=problem.expected,
        got=problem.got,
        cure=problem.cure,
    )


def _problem(text: str, what: str, names: Sequence[str]) -> Problem:
    if match := _UNDECLARED.match(what):
        name = match[1]
        cure = _PYTHON.get(name) or suggest(name, names)
        return Problem(code="cel-undefined", message=f"there is no {name!r}", cure=cure)
    if match := _OVERLOAD.match(what):
        operator, types = match[1].replace("_", " ").strip(), match[2]
        numbers = set(types.strip("()").replace(" ", "").split(","))
        cure = _MIXED if {"int", "double"} <= numbers else _overload_cure(operator)
        return Problem(code="cel-type", message=f"{operator!r} does not take {types}", got=types, cure=cure)
    if what.startswith("Syntax error: "):
        return Problem(code="cel-syntax", message=_shortened(what), cure="; ".join(_python_words(text)))
    return Problem(code="cel-type", message=what)


def _overload_cure(operator: str) -> str:
    return (
        "the condition must be a boolean, and both results of one type"
        if operator == "? :"
        else "convert one side, or compare another field"
    )


def _shortened(what: str) -> str:
    unexpected, _, _ = what.partition(" expecting {")
    return unexpected.removeprefix("Syntax error: ").replace("'<EOF>'", "end of the expression")


def _python_words(text: str) -> Iterator[str]:
    for word in ("and", "or", "not", "if", "is"):
        if re.search(rf"\b{word}\b", text):
            yield _PYTHON[word]


def evaluation_error(text: str, message: str) -> AlgorailError:
    """The error for an expression that has no value."""
    if "Iteration budget" in message:
        cure = "10,000 rounds is the most; use a transform block for long lists"
        return LimitExceeded(f"the loops of {text!r:.120} are too long", code="cel-limit", cure=cure)
    said = message.split(": ", 1)[-1].removesuffix(".")
    cure = ""
    if "Key not found" in message:
        cure = "ask with has(…) before"
    elif "No matching overloads" in message:
        said = said.replace("int64", "int")
        cure = _NULL if "null" in said else ""
        if "(int, double)" in said or "(double, int)" in said:
            cure = _MIXED
    return InvalidInput(f"{text!r:.120} has no value here: {said}", code="cel-failed", cure=cure)

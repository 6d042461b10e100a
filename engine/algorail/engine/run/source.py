"""Text of generated functions: lines with indentation, nested functions, and which line is whose.

Only this package writes here, from validated names and numbers; text of users never passes through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Origin:
    """What a generated line is for; `port` is set where it only reads that port's binding."""

    node: str = ""
    port: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of generated code."""

    indent: int
    text: str
    origin: Origin


@dataclass(slots=True, eq=False)
class Function:
    """A generated function under construction.

    Attributes:
        header: Its `def` line.
        parent: The function it is nested in.
        shared: Variables that functions nested in it assign; set to None at its start.
        borrowed: Variables of functions around it that it assigns.
    """

    header: str
    parent: Function | None = None
    body: list[Line | Function] = field(default_factory=list)
    shared: dict[str, None] = field(default_factory=dict)
    borrowed: dict[str, None] = field(default_factory=dict)
    indent: int = 0
    _placed: dict[int, int] = field(default_factory=dict)
    _ended: int | None = None

    def write(self, text: str, origin: Origin = Origin()) -> None:  # frozen
        """Add a line at the current depth."""
        self.body.append(Line(self.indent, text, origin))
        self._ended = None

    def nest(self, header: str) -> Function:
        """A function inside this one, at the current depth."""
        inner = Function(header, self)
        self._placed[len(self.body)] = self.indent
        self.body.append(inner)
        self._ended = None
        return inner

    @contextmanager
    def block(self, text: str, origin: Origin = Origin()) -> Iterator[None]:  # frozen
        """A compound statement; what is written inside is indented."""
        self.write(text, origin)
        self.indent += 1
        yield
        self.indent -= 1
        self._ended = None

    def assigns(self, name: str, home: Function) -> str:
        """Declare that this function assigns a variable of `home`; gives the name back."""
        if self is not home:
            self.borrowed[name] = None
            home.shared[name] = None
        return name

    def mark_start(self, slot: int, origin: Origin) -> None:
        """Note the time at which a node starts; what ended just before shares the reading."""
        if self._ended is not None:
            last = self.body[self._ended]
            assert isinstance(last, Line)  # noqa: S101  # `_ended` is only ever the index of a line
            merged = last.text.replace(" = now()", f" = r[{slot}] = now()")
            self.body[self._ended] = Line(last.indent, merged, last.origin)
            self._ended = None
        else:
            self.write(f"r[{slot}] = now()", origin)

    def mark_end(self, slot: int, origin: Origin) -> None:
        """Note the time at which a node ended."""
        self.write(f"r[{slot}] = now()", origin)
        self._ended = len(self.body) - 1

    def render(self, indent: int = 0) -> Iterator[Line]:
        """All lines, with declarations at the top."""
        yield Line(indent, self.header, Origin())
        if self.borrowed:
            yield Line(indent + 1, f"nonlocal {', '.join(self.borrowed)}", Origin())
        own = [name for name in self.shared if name not in self.borrowed]
        if own:
            yield Line(indent + 1, f"{' = '.join(own)} = None", Origin())
        for position, part in enumerate(self.body):
            if isinstance(part, Line):
                yield Line(indent + 1 + part.indent, part.text, part.origin)
            else:
                yield from part.render(indent + 1 + self._placed[position])


def text_of(lines: list[Line]) -> str:
    """The source file."""
    return "".join(f"{'    ' * line.indent}{line.text}\n" for line in lines)

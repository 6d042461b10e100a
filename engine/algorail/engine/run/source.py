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
        shared: Variables that functions nested in it assign, or only some runs; set to None at its start.
        borrowed: Variables of functions around it that it assigns.
        reading: The variable into which the last line has read the clock, None if it did something else.
    """

    header: str
    parent: Function | None = None
    body: list[Line | Function] = field(default_factory=list)
    shared: dict[str, None] = field(default_factory=dict)
    borrowed: dict[str, None] = field(default_factory=dict)
    indent: int = 0
    reading: str | None = None
    _placed: dict[int, int] = field(default_factory=dict)

    def write(self, text: str, origin: Origin = Origin()) -> None:  # frozen
        """Add a line at the current depth."""
        self.body.append(Line(self.indent, text, origin))
        self.reading = None

    def nest(self, header: str) -> Function:
        """A function inside this one, at the current depth."""
        inner = Function(header, self)
        self._placed[len(self.body)] = self.indent
        self.body.append(inner)
        self.reading = None
        return inner

    @contextmanager
    def block(self, text: str, origin: Origin = Origin()) -> Iterator[None]:  # frozen
        """A compound statement; what is written inside is indented."""
        self.write(text, origin)
        self.indent += 1
        yield
        self.indent -= 1
        self.reading = None

    def assigns(self, name: str, home: Function) -> str:
        """Declare that this function assigns a variable of `home`; gives the name back."""
        if self is not home:
            self.borrowed[name] = None
            home.shared[name] = None
        return name

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

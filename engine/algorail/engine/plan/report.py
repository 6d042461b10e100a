"""What a check found: errors, warnings and the types that it worked out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from algorail.engine.kit.errors import AlgorailError, PlanInvalid, Problem
from algorail.engine.plan.types import ANY, Type


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The outcome of a check.

    Attributes:
        problems: What must be mended before the plan can run.
        warnings: What is probably not meant, though it runs.
        node_types: Type of each node's output; `Any` where it could not be worked out.
        result_type: Type of the result binding.
    """

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    node_types: Mapping[str, Type] = field(default_factory=dict)
    result_type: Type = ANY

    @property
    def ok(self) -> bool:
        """Whether the plan can run."""
        return not self.problems

    def require_ok(self) -> Checked:
        """Itself, if the plan can run.

        Raises:
            PlanInvalid: With every problem.
        """
        if self.problems:
            count = "one problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
            raise PlanInvalid(f"the plan has {count}", problems=self.problems)
        return self


@dataclass(slots=True)
class Report:
    """Collects the findings of a check.

    Attributes:
        node: Id of the node being checked, noted on its findings.
    """

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    node: str = ""

    def error(
        self, code: str, message: str, *, port: str = "", expected: str = "", got: str = "", cure: str = ""
    ) -> None:
        """Notes what must be mended."""
        self.problems.append(
            Problem(
                code=code, message=message, node=self.node, port=port, expected=expected, got=got, cure=cure
            )
        )

    def warning(self, code: str, message: str, *, port: str = "", cure: str = "") -> None:
        """Notes what is probably not meant."""
        self.warnings.append(Problem(code=code, message=message, node=self.node, port=port, cure=cure))

    def raised(self, error: AlgorailError, port: str = "") -> None:
        """Notes what somebody else raised about the node or a port."""
        if not error.problems:
            self.error(error.code, error.message, port=port, cure=error.cure)
        self.raised_all(error.problems, port)

    def raised_all(self, problems: Iterable[Problem], port: str = "") -> None:
        """Notes problems that somebody else found about the node or a port."""
        for each in problems:
            at = (
                f"{port}{each.port}"
                if each.port.startswith("[")
                else ".".join(filter(None, (port, each.port)))
            )
            self.error(each.code, each.message, port=at, expected=each.expected, got=each.got, cure=each.cure)

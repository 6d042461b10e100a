"""Plans as Python: source that, when it is executed, makes the very same plan.

Names are checked and literals are written by `repr`, so nothing of a plan can become code.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from algorail.engine.dsl.binding_text import BindingWriter, is_name, keywords
from algorail.engine.dsl.factory_text import FactoryCall, factory_call
from algorail.engine.dsl.misuse import misuse
from algorail.engine.dsl.names import NODE_ID, node_id
from algorail.engine.dsl.type_text import TypeWriter
from algorail.engine.plan.document import Node, Plan, RecordPolicy, Value

_ENGINE = frozenset(
    {
        "Breaker", "Cache", "Image", "Named", "Pii", "RecordPolicy", "Retry", "Schema", "Secret", "Sensitive",
        "Table", "Vector", "algorithm", "contains", "dim", "expr", "first_of", "length", "operation",
        "options", "placed_kind", "sub_algorithm", "switch", "when",
    }
)  # fmt: skip
_TYPING = frozenset({"Annotated", "Any", "Literal", "NotRequired", "TypedDict"})
_STRUCTS = frozenset({"DictOf", "ListOf", "Value"})
_BUILTINS = frozenset({"abs", "bool", "bytes", "dict", "float", "int", "list", "round", "str"})
_POLICIES = ("retry", "timeout", "cache", "breaker", "record", "doc")
_WIDTH = 100
_INLINE = 50
"""Longest call of a factory that stands inside the algorithm."""


def to_python(plan: Plan) -> str:
    """The plan as readable Python.

    Built-in and installed blocks are written as the calls that make them, where those give exactly the
    configuration of the plan; every other kind as `placed_kind("name@1", {…})`.

    Raises:
        PlanInvalid: If a name of the plan is no name.
    """
    return _Module(plan).text()


class _Module:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._types = TypeWriter(_ENGINE | _TYPING | _STRUCTS | _BUILTINS)
        found = {node.id: factory_call(node, self._types) for node in plan.nodes}
        self._calls = {node: call for node, call in found.items() if call is not None}
        factories = {call.name for call in self._calls.values()}
        reserved = _ENGINE | _TYPING | _STRUCTS | _BUILTINS | factories
        self._function = plan.name.replace("-", "_")
        if not is_name(self._function) or self._function in reserved:
            self._function = f"{self._function}_algorithm"
        self._variables = _variables([*plan.inputs, *(node.id for node in plan.nodes)], reserved)
        self._taken = {*reserved, self._function, *self._variables.values()}
        self._shared: dict[str, str] = {}
        self._bindings = BindingWriter(self._variables)
        self._names: set[str] = {"algorithm"}

    def text(self) -> str:
        """The module."""
        body = [*self._docstring(), *self._nodes(), f"    return {self._result()}"]
        parts = [self._decorator(), self._header(), *body]
        function = "\n".join(parts)
        classes = [source for _, source in self._types.classes.values()]
        blocks = "\n".join(f"{name} = {made}" for made, name in self._shared.items())
        return "\n\n\n".join([self._imports(), *classes, *filter(None, [blocks]), function]) + "\n"

    def _imports(self) -> str:
        names = self._names | self._types.names | self._bindings.names | self._bindings.structs
        lines: list[str] = []
        if names & _TYPING:
            homes = {
                "typing": {"Annotated", "Any", "Literal"},
                "typing_extensions": {"NotRequired", "TypedDict"},
            }
            lines += [_import(home, names & told) for home, told in homes.items() if names & told]
            lines.append("")
        lines += sorted({f"from {call.home} import {call.name}" for call in self._calls.values()})
        lines.append(_import("algorail.engine", names & _ENGINE))
        if names & _STRUCTS:
            lines.append(_import("algorail.engine.plan.document", names & _STRUCTS))
        return "\n".join(lines)

    def _decorator(self) -> str:
        plan = self._plan
        told: list[str] = []
        if plan.name != self._function:
            told.append(f"name={plan.name!r}")
        if plan.doc and not _is_docstring(plan.doc):
            told.append(f"doc={plan.doc!r}")
        if plan.record != RecordPolicy():
            simple = plan.record == RecordPolicy(mode=plan.record.mode)
            told.append(f"record={repr(plan.record.mode) if simple else self._struct(plan.record)}")
        told += [
            f"{name}={item!r}" for name in ("unit", "timeout", "bundle") if (item := getattr(plan, name))
        ]
        return f"@algorithm({', '.join(told)})" if told else "@algorithm"

    def _header(self) -> str:
        parameters: list[str] = []
        ordered, optional = True, False
        for name, item in self._plan.inputs.items():
            doc = item.doc or item.type.doc
            annotation = self._types.write(replace(item.type, doc=doc))
            if self._variables[name] != name:
                self._names |= {"Annotated", "Named"}
                annotation = f"Annotated[{annotation}, Named({name!r})]"
            ordered = ordered and not (optional and item.required)
            optional = optional or not item.required
            default = "" if item.required else f" = {item.default!r}"
            parameters.append(f"{self._variables[name]}: {annotation}{default}")
        if not ordered:
            parameters.insert(0, "*")
        result = self._types.write(self._plan.output)
        return _call(f"def {self._function}", parameters, "", f" -> {result}:")

    def _docstring(self) -> list[str]:
        doc = self._plan.doc
        if not doc or not _is_docstring(doc):
            return []
        lines = f'"""{doc}"""' if "\n" not in doc else f'"""{doc}\n"""'
        return ["\n".join(f"    {line}" if line else "" for line in lines.split("\n"))]

    def _nodes(self) -> list[str]:
        taken = set(self._plan.inputs)
        lines: list[str] = []
        for node in self._plan.nodes:
            variable = self._variables[node.id]
            policies = self._policies(node)
            if not variable.strip("_") or node_id(variable, taken) != node.id:
                policies = [f"name={node.id!r}", *policies]
            taken.add(node.id)
            lines.append(self._node(node, f"    {variable} = ", policies))
        return lines

    def _node(self, node: Node, start: str, policies: list[str]) -> str:
        control = self._control(node)
        if control is not None:
            name, arguments = control
            self._names.add(name)
            return _call(f"{start}{name}", [*arguments, *policies], "    ")
        callee = self._callee(node)
        self._names.add(callee.partition("(")[0])
        if policies:
            self._names.add("options")
            callee = f"options({', '.join([callee, *policies])})"
        inputs = {port: self._bindings.text(item) for port, item in node.inputs.items()}
        return _call(start + callee, keywords(inputs), "    ")

    def _policies(self, node: Node) -> list[str]:
        told: list[str] = []
        for name in _POLICIES:
            item = getattr(node, name)
            if item not in (None, "", "full"):
                told.append(
                    f"{name}={self._struct(item) if isinstance(item, msgspec.Struct) else repr(item)}"
                )
        if node.fallback is not None:
            told.append(f"fallback={self._bindings.text(node.fallback)}")
        return told

    def _struct(self, policy: msgspec.Struct) -> str:
        self._names.add(type(policy).__name__)
        fields = msgspec.structs.fields(policy)
        told = {item.name: (getattr(policy, item.name), item.default) for item in fields}
        given = [f"{name}={item!r}" for name, (item, default) in told.items() if item != default]
        return f"{type(policy).__name__}({', '.join(given)})"

    def _control(self, node: Node) -> tuple[str, list[str]] | None:
        """The function and the arguments of a control node that has the usual form."""
        text = {port: self._bindings.expression(item) for port, item in node.inputs.items()}
        if node.kind == "when@1" and not node.config and set(text) == {"condition", "then", "otherwise"}:
            if text["condition"].text in {"True", "False"}:
                return None
            return "when", [
                text["condition"].text, f"then={text['then'].text}", f"otherwise={text['otherwise'].text}"
            ]  # fmt: skip
        if node.kind == "first_of@1" and node.config in ({}, {"accept": "value"}):
            ports = [f"option_{number}" for number in range(len(text))]
            if ports and set(ports) == set(text):
                accept = ["accept='value'"] if node.config else []
                return "first_of", [*(text[port].text for port in ports), *accept]
        if node.kind == "switch@1":
            return self._switch(node, {port: item.text for port, item in text.items()})
        return None

    def _switch(self, node: Node, text: Mapping[str, str]) -> tuple[str, list[str]] | None:
        cases: Any = node.config.get("cases")
        if set(node.config) != {"cases"} or not isinstance(cases, list) or not cases:
            return None
        ports = [f"case_{number}" for number in range(len(cases))]
        literal = all(case is None or isinstance(case, str | int | float) for case in cases)
        if not literal or set(text) != {"value", "default", *ports}:
            return None
        if all(isinstance(case, str) for case in cases) and len(set(cases)) == len(cases):
            told = ", ".join(f"{case!r}: {text[port]}" for case, port in zip(cases, ports, strict=True))
            shown = "{" + told + "}"
        else:
            pairs = [f"({case!r}, {text[port]})" for case, port in zip(cases, ports, strict=True)]
            shown = f"[{', '.join(pairs)}]"
        return "switch", [text["value"], shown, f"default={text['default']}"]

    def _callee(self, node: Node) -> str:
        """What is called with the node's inputs."""
        config = dict(node.config)
        if node.kind == "sub_algorithm@1" and set(config) == {"algorithm", "version"}:
            name, version = config["algorithm"], config["version"]
            if isinstance(name, str) and isinstance(version, str):
                shown = repr(name) if version == "@prod" else f"{name!r}, {version!r}"
                return f"sub_algorithm({shown})"
        if node.id in self._calls:
            return self._made(node, self._calls[node.id])
        return f"placed_kind({node.kind!r}, {config!r})" if config else f"placed_kind({node.kind!r})"

    def _made(self, node: Node, call: FactoryCall) -> str:
        """A short call in its place; a long one by a name of its own above the function."""
        made = _call(call.name, list(call.arguments), "")
        if len(made) <= _INLINE:
            return made
        if made not in self._shared:
            name = f"{node.id}_block"
            while name in self._taken:
                name += "_"
            self._taken.add(name)
            self._shared[made] = name
        return self._shared[made]

    def _result(self) -> str:
        if self._plan.result == Value(None):
            return self._bindings.struct(Value(None))
        return self._bindings.text(self._plan.result)


def _variables(names: list[str], reserved: frozenset[str] | set[str]) -> dict[str, str]:
    """A Python variable for each input and node: its own name, unless Python or the module has that."""
    found: dict[str, str] = {}
    for name in names:
        if not NODE_ID.match(name):
            raise misuse("node-name", f"{name!r} is no id", "use a-z, 0-9 and _, at most 64")
        variable = name
        while keyword.iskeyword(variable) or variable in reserved or (variable != name and variable in names):
            variable += "_"
        found[name] = variable
    return found


def _is_docstring(doc: str) -> bool:
    safe = doc.isprintable() or all(char == "\n" or char.isprintable() for char in doc)
    return safe and '"' not in doc and "\\" not in doc and inspect.cleandoc(f"{doc}\n") == doc


def _import(home: str, names: frozenset[str] | set[str]) -> str:
    return f"from {home} import {', '.join(sorted(names))}"


def _call(callee: str, arguments: list[str], indent: str, end: str = "") -> str:
    line = f"{callee}({', '.join(arguments)}){end}"
    if len(line) <= _WIDTH or not arguments:
        return line
    inner = "".join(f"{indent}    {argument},\n" for argument in arguments)
    return f"{callee}(\n{inner}{indent}){end}"

"""Go's text/template, the part of it that people type after --format.

Fields, pipelines, parentheses, variables; if, with, range and else; the functions below. Data is
what JSON has, and callables for methods. Runs on the node under `python3 -IS`.

Source: the documentation of Go's text/template, and of Docker's formatting functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .client import ToolError

_ACTION = re.compile(r"\{\{(-(?=\s))?(.*?)((?<=\s)-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<number>-?\d+)'
    r"|(?P<variable>\$\w*)|(?P<fields>\.\w+(?:\.\w+)*|\.)|(?P<word>\w+)|(?P<mark>:=|[|(),]))"
)


class TemplateError(ToolError):
    """The template, or what it asks of the data, is wrong."""


@dataclass(slots=True)
class Node:
    """kind: text, value, if, with, range. body, other: what stands before and after {{else}}."""

    kind: str
    text: str = ""
    pipeline: list[tuple[str, str]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    body: list[Node] = field(default_factory=list)
    other: list[Node] = field(default_factory=list)


def render(template: str, data: Any) -> str:
    """The template filled with `data`. Raises TemplateError."""
    return Template(template).render(data)


class Template:
    """A parsed template. Raises TemplateError when it cannot be parsed."""

    def __init__(self, source: str) -> None:
        self._pieces = _pieces(source)
        self._nodes, ending = self._parse()
        if ending:
            raise TemplateError(f"template parsing error: unexpected {{{{{ending}}}}}")

    def render(self, data: Any) -> str:
        return _run(self._nodes, data, {"$": data})

    def _parse(self) -> tuple[list[Node], str]:
        """The nodes up to {{end}} or {{else}}, and which of them came; "" at the end."""
        nodes: list[Node] = []
        while self._pieces:
            is_action, text = self._pieces.pop(0)
            word = text.split(None, 1)[0] if text.split() else ""
            if not is_action:
                nodes.append(Node("text", text))
            elif word in ("end", "else"):
                return nodes, text.strip()
            elif word in ("if", "with", "range"):
                nodes.append(self._block(word, text.strip()[len(word) :]))
            elif not text.lstrip().startswith("/*"):
                nodes.append(_value(text))
        return nodes, ""

    def _block(self, kind: str, expression: str) -> Node:
        node = _value(expression)
        node.kind = kind
        node.body, ending = self._parse()
        if ending.startswith("else "):
            words = ending.split(None, 2)
            node.other = [self._block(words[1], words[2])]
            return node
        if ending == "else":
            node.other, ending = self._parse()
        if ending != "end":
            raise TemplateError(f"template parsing error: {{{{{kind}}}}} without {{{{end}}}}")
        return node


def _pieces(source: str) -> list[tuple[bool, str]]:
    """(is an action, its text) in order; white space trimmed as {{- and -}} ask."""
    found: list[tuple[bool, str]] = []
    at, trim = 0, False
    for match in _ACTION.finditer(source):
        text = source[at : match.start()]
        text = text.lstrip() if trim else text
        found.append((False, text.rstrip() if match[1] else text))
        found.append((True, match[2]))
        at, trim = match.end(), bool(match[3])
    rest = source[at:]
    if "{{" in rest:
        raise TemplateError("template parsing error: unclosed action, {{ without }}")
    found.append((False, rest.lstrip() if trim else rest))
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise TemplateError(f"template parsing error: unexpected {text[at:].strip()!r}")
        found.append((str(match.lastgroup), match[0].strip()))
        at = match.end()
    return found


def _value(text: str) -> Node:
    """An action's pipeline, with the variables that it declares."""
    tokens = _tokens(text)
    if not tokens:
        raise TemplateError("template parsing error: missing value for command")
    names: list[str] = []
    if ("mark", ":=") in tokens:
        at = tokens.index(("mark", ":="))
        names = [one for kind, one in tokens[:at] if kind == "variable"]
        tokens = tokens[at + 1 :]
    return Node("value", pipeline=tokens, names=names)


def _run(nodes: list[Node], dot: Any, variables: dict[str, Any]) -> str:
    return "".join(_show(node, dot, variables) for node in nodes)


def _show(node: Node, dot: Any, variables: dict[str, Any]) -> str:
    if node.kind == "text":
        return node.text
    value = _Evaluation(node.pipeline, dot, variables).value()
    if node.kind == "range":
        return _range(node, value, dot, variables)
    if node.names:
        variables[node.names[0]] = value
    if node.kind == "value":
        return "" if node.names else go_text(value)
    inner = value if node.kind == "with" else dot
    return _run(node.body, inner, dict(variables)) if value else _run(node.other, dot, variables)


def _range(node: Node, value: Any, dot: Any, variables: dict[str, Any]) -> str:
    pairs = sorted(value.items()) if isinstance(value, dict) else list(enumerate(value or ()))
    shown = []
    for key, one in pairs:
        inner = dict(variables)
        inner.update(zip(node.names, (key, one) if len(node.names) > 1 else (one,), strict=False))
        shown.append(_run(node.body, one, inner))
    return "".join(shown) if pairs else _run(node.other, dot, variables)


class _Evaluation:
    """The value of one pipeline: commands joined by |, each of operands side by side."""

    def __init__(self, tokens: list[tuple[str, str]], dot: Any, variables: dict[str, Any]) -> None:
        self._tokens = list(tokens)
        self._dot = dot
        self._variables = variables

    def value(self) -> Any:
        result = self._command([])
        while self._tokens and self._tokens[0] == ("mark", "|"):
            self._tokens.pop(0)
            result = self._command([result])
        return result

    def _command(self, piped: list[Any]) -> Any:
        operands: list[Any] = []
        while self._tokens and self._tokens[0] not in (("mark", "|"), ("mark", ")")):
            operands.append(self._operand())
        if not operands:
            raise TemplateError("template parsing error: missing value for command")
        head, *arguments = operands
        arguments += piped
        if callable(head):
            return _call(head, arguments)
        if arguments:
            raise TemplateError(f"template: can't give argument to non-function {head!r}")
        return head

    def _operand(self) -> Any:
        kind, text = self._tokens.pop(0)
        if kind == "string":
            return text[1:-1] if text[0] == "`" else json.loads(text)
        if kind == "number":
            return int(text)
        if kind == "fields":
            return _walk(self._dot, text)
        if kind == "word":
            return _word(text)
        if kind == "variable":
            return self._fields_after(self._variable(text))
        if text == "(":
            value = self.value()
            if not self._tokens or self._tokens.pop(0) != ("mark", ")"):
                raise TemplateError("template parsing error: unclosed left paren")
            return self._fields_after(value)
        raise TemplateError(f"template parsing error: unexpected {text!r}")

    def _variable(self, name: str) -> Any:
        if name not in self._variables:
            raise TemplateError(f"template parsing error: undefined variable {name!r}")
        return self._variables[name]

    def _fields_after(self, value: Any) -> Any:
        if self._tokens and self._tokens[0][0] == "fields" and self._tokens[0][1] != ".":
            return _walk(value, self._tokens.pop(0)[1])
        return value


def _walk(value: Any, path: str) -> Any:
    for name in path.split(".")[1:] if path != "." else ():
        if not isinstance(value, dict) or name not in value:
            what = "map has no entry for key" if isinstance(value, dict) else "can't evaluate field"
            raise TemplateError(f'template: executing at <{path}>: {what} "{name}"')
        value = value[name]
    return value


def _word(name: str) -> Any:
    constants = {"true": True, "false": False, "nil": None}
    if name in constants:
        return constants[name]
    if name not in FUNCTIONS:
        known = ", ".join(sorted(FUNCTIONS))
        raise TemplateError(
            f'template parsing error: function "{name}" not defined; known: {known}'
        )
    return FUNCTIONS[name]


def _call(function: Callable[..., Any], arguments: list[Any]) -> Any:
    try:
        return function(*arguments)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise TemplateError(f"template: error calling a function: {error}") from None


def go_text(value: Any) -> str:
    """A value as Go's fmt prints it with %v."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<no value>"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{name}:{go_text(one)}' for name, one in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(go_text, value))}]"
    return str(value)


def _json(value: Any) -> str:
    if isinstance(value, dict):
        value = {name: one for name, one in value.items() if not callable(one)}
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else value[key]
    return value


def _print(*values: Any) -> str:
    return " ".join(map(go_text, values))


def _printf(form: str, *values: Any) -> str:
    python = re.sub(r"%[-+#]?v", "%s", form).replace("%q", '"%s"')
    return python % tuple(one if type(one) is int else go_text(one) for one in values)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": _json,
    "index": _index,
    "len": len,
    "print": _print,
    "println": lambda *values: _print(*values) + "\n",
    "printf": _printf,
    "join": lambda values, separator: separator.join(map(go_text, values)),
    "split": lambda text, separator: text.split(separator),
    "upper": lambda text: text.upper(),
    "lower": lambda text: text.lower(),
    "title": lambda text: text[:1].upper() + text[1:],
    "slice": lambda text, start=0, end=None: text[start:end],
    "eq": lambda first, *others: first in others,
    "ne": lambda first, second: first != second,
    "not": lambda value: not value,
    "and": lambda *values: next((one for one in values if not one), values[-1]),
    "or": lambda *values: next((one for one in values if one), values[-1]),
}

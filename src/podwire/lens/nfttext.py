"""nftables' JSON as nft writes it for people, near enough to be recognised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_MANY = 6


def rule_text(rule: Mapping[str, Any], found: Any = None) -> str:
    """A rule in one line. found: what a map in it gave for this packet."""
    words = [_statement(one) for one in rule.get("expr", ())]
    text = " ".join(one for one in words if one)
    return f"{text} ({found})" if found is not None and " map " in text else text


def expression(expr: Any) -> str:
    if isinstance(expr, list):
        return ", ".join(expression(one) for one in expr)
    if not isinstance(expr, Mapping):
        return str(expr)
    kind, body = next(iter(expr.items()))
    writer = _WRITERS.get(kind)
    if writer is not None:
        return writer(body)
    if kind in ("&", "|", "^", "<<", ">>"):
        return f" {kind} ".join(expression(one) for one in body)
    return f"{kind} {body}"


def _statement(statement: Any) -> str:
    if not isinstance(statement, Mapping):
        return str(statement)
    kind, body = next(iter(statement.items()))
    if kind == "match":
        op = "" if body["op"] in ("==", "in") else f" {body['op']}"
        return f"{expression(body['left'])}{op} {expression(body['right'])}"
    if kind == "mangle":
        return f"{expression(body['key'])} set {expression(body['value'])}"
    if kind == "vmap":
        return f"{expression(body['key'])} vmap {expression(body['data'])}"
    if kind in ("jump", "goto"):
        return f"{kind} {body['target']}"
    if kind == "counter":
        return "counter" if isinstance(body, Mapping) or body is None else f"counter name {body}"
    return kind if body is None else f"{kind} {expression(body)}"


def _set(body: Any) -> str:
    items = body if isinstance(body, list) else [body]
    more = ", ..." if len(items) > _MANY else ""
    shown = (_item(one) for one in items[:_MANY])
    return f"{{ {', '.join(shown)}{more} }}"


def _item(item: Any) -> str:
    if isinstance(item, list) and len(item) == 2:
        return f"{expression(item[0])} : {_statement(item[1])}"
    return expression(item)


def _payload(body: Any) -> str:
    return f"{body.get('protocol', 'payload')} {body.get('field', '')}".strip()


_WRITERS: Mapping[str, Callable[[Any], str]] = {
    "payload": _payload,
    "meta": lambda body: f"meta {body['key']}".replace("meta iifname", "iifname").replace(
        "meta oifname", "oifname"
    ),
    "ct": lambda body: f"ct {body['key']}",
    "concat": lambda body: " . ".join(expression(one) for one in body),
    "map": lambda body: f"{expression(body['key'])} map {expression(body['data'])}",
    "prefix": lambda body: f"{body['addr']}/{body['len']}",
    "range": lambda body: f"{expression(body[0])}-{expression(body[1])}",
    "set": _set,
    "elem": lambda body: expression(body["val"]),
}

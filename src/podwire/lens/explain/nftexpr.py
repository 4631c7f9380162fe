"""nftables' JSON expressions: their value for a packet, and whether a packet matches.

What is not understood raises NotUnderstoodError. Source: libnftables-json(5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any, TypeAlias

from podwire.lens.explain.iptrules import NotUnderstoodError
from podwire.lens.explain.skb import Skb
from podwire.lens.explain.world import Stack

Value: TypeAlias = Any
"""A number, an address, a name; a tuple of them where concatenated."""
_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1}
_NAMES = {
    **_PROTOCOLS,
    "ip": 0x0800,
    "arp": 0x0806,
    "ip6": 0x86DD,
    "sctp": 132,
    "icmpv6": 58,
    "echo-request": 8,
    "echo-reply": 0,
}
"""What nft prints as a word and others write as a number."""


class AbsentError(Exception):
    """The packet has no such field: its rule does not match (NFT_BREAK)."""


class Sets:
    """The sets and maps of a ruleset, by (family, table, name)."""

    def __init__(self, objects: tuple[Mapping[str, Any], ...]) -> None:
        self._raw: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        for one in objects:
            for kind in ("set", "map"):
                if body := one.get(kind):
                    self._raw[(body["family"], body["table"], body["name"])] = body
        self._read: dict[tuple[str, str, str], list[tuple[Value, Value]]] = {}

    def elements(self, key: tuple[str, str, str]) -> list[tuple[Value, Value]]:
        """(item, value) of each; the value is None in a set. Raises NotUnderstoodError."""
        if key not in self._raw:
            raise NotUnderstoodError(f"@{key[2]}: the snapshot has no such set")
        if key not in self._read:
            self._read[key] = list(_elements(self._raw[key].get("elem", ())))
        return self._read[key]


def _elements(listed: Any) -> Iterator[tuple[Value, Value]]:
    for one in listed:
        if isinstance(one, list):
            yield _bare(one[0]), one[1]
        else:
            yield _bare(one), None


def _bare(item: Any) -> Any:
    """Without its timeout, comment and counter."""
    return item["elem"]["val"] if isinstance(item, Mapping) and "elem" in item else item


class Context:
    """A packet at a hook, as the expressions of one table see it."""

    def __init__(self, skb: Skb, stack: Stack, sets: Sets, family: str, table: str) -> None:
        self.skb, self.stack, self.sets = skb, stack, sets
        self.family, self.table = family, table

    def value(self, expr: Any) -> Value:
        """Raises NotUnderstoodError, AbsentError."""
        if not isinstance(expr, Mapping):
            return _plain(expr)
        kind, body = next(iter(expr.items()))
        reader = getattr(self, f"_read_{kind}", None)
        if kind in ("&", "|", "^", "<<", ">>"):
            return _binary(kind, *(int(self.value(one)) for one in body))
        if reader is None:
            raise NotUnderstoodError(f"{kind} {body}")
        return reader(body)

    def matches(self, body: Mapping[str, Any]) -> bool:
        """The statement "match". Raises as `value`."""
        have = self.value(body["left"])
        op, right = body["op"], body["right"]
        if isinstance(have, (set, frozenset)):
            fits = any(self._is(one, right) for one in have)
        else:
            fits = self._is(have, right)
        if op in ("==", "in"):
            return fits
        if op == "!=":
            return not fits
        return _compared(op, have, self.value(right))

    def lookup(self, key: Any, data: Any) -> Value:
        """Of a map or vmap; None when it has nothing for the key."""
        have = self.value(key)
        for item, value in self._items(data):
            if self._is(have, item):
                return value
        return None

    def _items(self, data: Any) -> list[tuple[Value, Value]]:
        if isinstance(data, str) and data.startswith("@"):
            return self.sets.elements((self.family, self.table, data[1:]))
        if isinstance(data, Mapping) and "set" in data:
            listed = data["set"]
            return list(_elements(listed if isinstance(listed, list) else [listed]))
        raise NotUnderstoodError(str(data))

    def _is(self, have: Value, item: Any) -> bool:
        """Whether a value is the item, or in it."""
        if isinstance(item, list):
            return any(self._is(have, one) for one in item)
        if isinstance(item, str) and item.startswith("@"):
            return any(self._is(have, one) for one, _ in self._items(item))
        if isinstance(item, Mapping):
            return self._in_structure(have, item)
        return item == "*" or have == _plain(item) or _wildcard(have, item)

    def _in_structure(self, have: Value, item: Mapping[str, Any]) -> bool:
        kind, body = next(iter(item.items()))
        if kind == "set":
            return any(self._is(have, one) for one, _ in self._items(item))
        if kind == "prefix":
            return _in_prefix(have, body)
        if kind == "range":
            return _key(_plain(body[0])) <= _key(have) <= _key(_plain(body[1]))
        if kind == "concat":
            return len(body) == len(have) and all(map(self._is, have, body))
        if kind == "elem":
            return self._is(have, body["val"])
        return bool(have == self.value(item))

    def _read_concat(self, body: Any) -> Value:
        return tuple(self.value(one) for one in body)

    def _read_map(self, body: Mapping[str, Any]) -> Value:
        found = self.lookup(body["key"], body["data"])
        if found is None:
            raise AbsentError
        return self.value(found) if isinstance(found, Mapping) else _plain(found)

    def _read_meta(self, body: Mapping[str, Any]) -> Value:
        skb = self.skb
        known: dict[str, Any] = {
            "iifname": skb.physin or skb.iif,
            "oifname": skb.physout or skb.oif,
            "iif": skb.iif,
            "oif": skb.oif,
            "mark": skb.mark,
            "pkttype": skb.pkttype,
            "l4proto": _PROTOCOLS.get(skb.protocol),
            "protocol": 0x0806 if skb.arp else 0x0800,
            "nfproto": "ipv4",
            "ibrname": skb.iif,
            "obrname": skb.oif,
            "length": skb.size,
        }
        if body["key"] not in known or (body["key"] == "length" and not skb.size):
            raise NotUnderstoodError(f"meta {body['key']}")
        if self.family not in ("bridge", "netdev") and body["key"] in ("iifname", "oifname"):
            return known[body["key"][:3]]
        return known[body["key"]]

    def _read_ct(self, body: Mapping[str, Any]) -> Value:
        skb, key = self.skb, body["key"]
        if key == "state":
            return frozenset({skb.state or "new"})
        if key == "status":
            found = {"dnat"} if skb.flow and skb.flow.translated_destination else set()
            return frozenset(
                found | ({"snat"} if skb.flow and skb.flow.translated_source else set())
            )
        if key == "direction":
            return "reply" if skb.state == "established" else "original"
        if key == "mark":
            return 0
        raise NotUnderstoodError(f"ct {key}")

    def _read_fib(self, body: Mapping[str, Any]) -> Value:
        if body.get("result") != "type" or "iif" in body.get("flags", ()):
            raise NotUnderstoodError(f"fib {body}")
        address = self.skb.dst if "daddr" in body["flags"] else self.skb.src
        return "local" if address in self.stack.local else "unicast"

    def _read_payload(self, body: Mapping[str, Any]) -> Value:
        protocol, name = body.get("protocol", ""), body.get("field", "")
        skb = self.skb
        if protocol == "ether":
            ethertype = 0x0806 if skb.arp else 0x0800
            return self._field({"saddr": skb.smac, "daddr": skb.dmac, "type": ethertype}, body)
        if protocol == "arp":
            return self._arp(name, body)
        if skb.arp is not None or protocol in ("ip6", "icmpv6"):
            raise AbsentError
        return self._ip(protocol, name, body)

    def _ip(self, protocol: str, name: str, body: Mapping[str, Any]) -> Value:
        skb = self.skb
        if protocol == "ip":
            number = _PROTOCOLS.get(skb.protocol)
            known = {"saddr": skb.src, "daddr": skb.dst, "protocol": number, "version": 4}
            return self._field({**known, "ttl": 64}, body)
        ports = {"sport": skb.sport, "dport": skb.dport}
        if protocol == "icmp":
            return self._of("icmp", {"type": 0 if skb.reply else 8, "code": 0}, body)
        if protocol == "th":
            if skb.protocol not in ("tcp", "udp"):
                raise AbsentError
            return self._field(ports, body)
        if protocol == "tcp" and name == "flags":
            return self._of("tcp", {"flags": 0x12 if skb.reply else 0x02}, body)
        return self._of(protocol, ports, body)

    def _of(self, protocol: str, known: dict[str, Any], body: Mapping[str, Any]) -> Value:
        if protocol != self.skb.protocol:
            raise AbsentError
        return self._field(known, body)

    def _arp(self, name: str, body: Mapping[str, Any]) -> Value:
        arp = self.skb.arp
        if arp is None:
            raise AbsentError
        known = {
            "operation": arp.operation,
            "saddr ip": arp.sender_ip,
            "daddr ip": arp.target_ip,
            "saddr ether": arp.sender_mac,
            "daddr ether": arp.target_mac,
        }
        return self._field(known, body)

    @staticmethod
    def _field(known: Mapping[str, Any], body: Mapping[str, Any]) -> Value:
        if body["field"] not in known:
            raise NotUnderstoodError(f"{body.get('protocol')} {body['field']}")
        return known[body["field"]]


_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32}


def _plain(value: Any) -> Value:
    if isinstance(value, str):
        return _NAMES.get(value, _FLAGS.get(value, value))
    return value


def _wildcard(have: Value, item: Any) -> bool:
    is_one = isinstance(have, str) and isinstance(item, str) and item.endswith("*")
    return is_one and have.startswith(item[:-1])


def _binary(kind: str, left: int, right: int) -> int:
    results = {"&": left & right, "|": left | right, "^": left ^ right}
    return results[kind] if kind in results else (left << right if kind == "<<" else left >> right)


def _compared(op: str, have: Value, other: Value) -> bool:
    left, right = _key(have), _key(other)
    return {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[op]


def _key(value: Value) -> tuple[int, ...]:
    """What is compared as nft does: addresses as numbers."""
    if isinstance(value, int):
        return (value,)
    try:
        return (int(IPv4Address(value)),)
    except AddressValueError:
        return tuple(str(value).encode())


def _in_prefix(have: Value, body: Mapping[str, Any]) -> bool:
    try:
        return IPv4Address(have) in IPv4Network(f"{body['addr']}/{body['len']}", strict=False)
    except ValueError:
        return False

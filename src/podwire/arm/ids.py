"""Resource ids: taking a URL's path apart, and putting an id together.

Ids compare without regard to case and keep the case that they were written with. Pure. Source:
Azure Resource Manager, "Resource IDs":

    /subscriptions/S/resourceGroups/RG/providers/Namespace/type/name[/type/name...]
    SCOPE/providers/Namespace/type/name          a resource that extends the one at SCOPE
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from podwire.arm.errors import ArmError

GROUPS = "Microsoft.Resources/resourceGroups"
_NAME = re.compile(r"[^<>*%&:\\?/#\x00-\x1f]{1,260}")
_NO_PARENT = re.compile(r"(/providers/[^/]+)/{2,}", re.IGNORECASE)
"""`az resource` writes the types above a resource between two slashes, also when there are none."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a request's path names.

    path: as written, without a slash at the end; kind: Namespace/type[/type...], as written, or
    GROUPS; names: one for each type; tail: the last word when it has no name: a collection (GET)
    or an action (POST), "" when the path names one resource; scope: the path of what it extends,
    "" when it lies in a resource group or subscription itself.
    """

    path: str
    subscription: str
    group: str
    kind: str
    names: tuple[str, ...]
    tail: str = ""
    scope: str = ""

    @property
    def key(self) -> str:
        return self.path.lower()

    @property
    def name(self) -> str:
        return self.names[-1] if self.names else ""

    @property
    def parent(self) -> str:
        """The path without its last word, or last type and name."""
        return self.path.rsplit("/", 1 if self.tail else 2)[0]


def parse(path: str) -> Target:
    """Raises ArmError (InvalidResourceId-like codes) when the path is not one of ARM's."""
    path = _NO_PARENT.sub(r"\1/", path)
    words = path.strip("/").split("/")
    if any(not _NAME.fullmatch(word) for word in words):
        raise ArmError(400, "BadRequest", f"The request URI {path!r} is not well formed.")
    if words[0].lower() == "providers":
        return _provider(path, "", "", words[1:], "")
    if words[0].lower() != "subscriptions" or len(words) < 2:
        return Target("/" + "/".join(words), "", "", "", (), tail=words[0])
    subscription, rest = words[1], words[2:]
    group = ""
    if rest and rest[0].lower() == "resourcegroups":
        group = rest[1] if len(rest) > 1 else ""
        rest = rest[2:]
        if not group:
            return Target("/" + "/".join(words), subscription, "", GROUPS, (), "resourceGroups")
    return _below(words, subscription, group, rest)


def _below(words: list[str], subscription: str, group: str, rest: list[str]) -> Target:
    """What follows the subscription or the resource group."""
    path = "/" + "/".join(words)
    if rest and rest[0].lower() == "providers":
        places = [at for at, word in enumerate(words) if word.lower() == "providers"]
        last = places[-1]
        scope = "/" + "/".join(words[:last]) if len(places) > 1 else ""
        return _provider(path, subscription, group, words[last + 1 :], scope)
    if group:
        return Target(path, subscription, group, GROUPS, (group,), "/".join(rest))
    return Target(
        path, subscription, "", "Microsoft.Resources/subscriptions", (subscription,), "/".join(rest)
    )


def _provider(path: str, subscription: str, group: str, words: list[str], scope: str) -> Target:
    """words: Namespace, type, name, type, name, ... of which the last name may be missing."""
    if not words:
        return Target("/" + path.strip("/"), subscription, group, "", (), "providers", scope)
    namespace, pairs = words[0], words[1:]
    tail = pairs[-1] if len(pairs) % 2 else ""
    whole = pairs[: len(pairs) - 1] if tail else pairs
    kind = "/".join([namespace, *whole[::2]])
    clean = "/" + path.strip("/")
    return Target(clean, subscription, group, kind, tuple(whole[1::2]), tail, scope)


def group_id(subscription: str, group: str) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}"


def resource_id(subscription: str, group: str, kind: str, *names: str) -> str:
    """kind: Namespace/type[/type...], with one name for each type."""
    namespace, *types = kind.split("/")
    pairs = "".join(f"/{one}/{name}" for one, name in zip(types, names, strict=True))
    return f"{group_id(subscription, group)}/providers/{namespace}{pairs}"

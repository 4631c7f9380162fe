"""Network security groups and their rules. Pure.

Source: Azure "Network security groups" (priorities 100 to 4096, service tags), and the texts that
users met (SecurityRuleConflict, SecurityRuleInvalidPortRange, ...).
"""

from __future__ import annotations

import re
from ipaddress import ip_network

from podwire.arm import ids
from podwire.arm.errors import ArmError, not_offered
from podwire.arm.rules.fields import choice, missing, number, objects, reference, same, strings
from podwire.arm.rules.fields import text as field
from podwire.arm.rules.world import Body, World

RULES = "microsoft.network/networksecuritygroups/securityrules"
PRIORITIES = (100, 4096)
TAGS = ("VirtualNetwork", "AzureLoadBalancer", "Internet")
"""Service tags that mean something in the lab."""
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_TAG = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[A-Za-z0-9]+)?")
_SUBNETS = "microsoft.network/virtualnetworks/subnets"
_NICS = "microsoft.network/networkinterfaces"


def check_put(group_id: str, old: Body | None, new: Body, world: World) -> None:
    _check_all(group_id, objects(new, "properties.securityRules"))


def check_rule_put(rule_id: str, old: Body | None, new: Body, world: World) -> None:
    target = ids.parse(rule_id)
    others = [
        one
        for one in world.children(target.parent, RULES)
        if not same(field(one, "name"), target.name)
    ]
    _check_all(target.parent, [*others, {**new, "name": target.name}])


def check_delete(group_id: str, old: Body, world: World) -> None:
    users = [
        field(one, "id")
        for kind in (_SUBNETS, _NICS)
        for one in world.all(kind)
        if same(reference(one, "properties.networkSecurityGroup"), group_id)
    ]
    if users:
        raise ArmError(
            400,
            "InUseNetworkSecurityGroupCannotBeDeleted",
            f"Network security group {group_id} cannot be deleted because it is in use by the "
            f"following resources: {', '.join(users)}. In order to delete the Network security "
            "group, remove the association with the resource(s). To learn how to do this, see "
            "aka.ms/deletensg.",
        )


def _check_all(group_id: str, rules: list[Body]) -> None:
    seen: dict[tuple[str, int], str] = {}
    for rule in rules:
        name = field(rule, "name")
        place = _check_rule(f"{group_id}/securityRules/{name}", rule)
        if place in seen:
            raise ArmError(
                400,
                "SecurityRuleConflict",
                f"Security rule {name} conflicts with rule {seen[place]}. Rules cannot have the "
                "same Priority and Direction. To learn more, see aka.ms/nsgrules.",
            )
        seen[place] = name


def _check_rule(rule_id: str, rule: Body) -> tuple[str, int]:
    """The rule's direction and priority."""
    direction = choice(rule, "properties.direction", ("Inbound", "Outbound"), "RuleDirection")
    choices = {
        "properties.access": (("Allow", "Deny"), "RuleAccess"),
        "properties.protocol": (("Tcp", "Udp", "Icmp", "Esp", "Ah", "*"), "TransportProtocol"),
    }
    given = {path: choice(rule, path, *allowed) for path, allowed in choices.items()}
    for path, value in {"properties.direction": direction, **given}.items():
        if not value:
            raise missing(path.removeprefix("properties."), "properties")
    for side in ("source", "destination"):
        for port in _values(rule, f"properties.{side}PortRange"):
            _check_port(port)
        for prefix in _values(rule, f"properties.{side}AddressPrefix", "es"):
            _check_prefix(prefix, rule_id)
    return direction, _priority(rule)


def _values(rule: Body, path: str, plural: str = "s") -> list[str]:
    single = field(rule, path)
    return [*([single] if single else []), *strings(rule, path + plural)]


def _priority(rule: Body) -> int:
    low, high = PRIORITIES
    priority = number(rule, "properties.priority") or 0
    if not low <= priority <= high:
        raise ArmError(
            400,
            "SecurityRuleInvalidPriority",
            f"Security rule has invalid Priority. Value provided: {priority} Allowed range "
            f"{low}-{high}.",
        )
    return priority


def _check_port(text: str) -> None:
    found = _PORT.fullmatch(text)
    if text == "*" or (found and int(found[1]) <= int(found[2] or found[1]) <= 65535):
        return
    raise ArmError(
        400,
        "SecurityRuleInvalidPortRange",
        f"Security rule has invalid Port range. Value provided: {text}. Value should be an integer "
        "OR integer range with '-' delimiter. Valid range 0-65535.",
    )


def _check_prefix(text: str, rule_id: str) -> None:
    if text == "*" or text.lower() in (one.lower() for one in TAGS):
        return
    if _TAG.fullmatch(text):
        raise not_offered(f"the service tag {text}; it has {', '.join(TAGS)}")
    try:
        ip_network(text)
    except ValueError:
        raise ArmError(
            400,
            "SecurityRuleInvalidAddressPrefix",
            f"Security rule {rule_id} has invalid Address prefix. Value provided: {text}",
        ) from None

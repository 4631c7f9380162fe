"""Names and tags: what every type of resource is held to. Pure.

Source: "Naming rules and restrictions for Azure resources", "Use tags" (50 pairs; names of 512
characters, values of 256), and the texts that users met.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from podwire.arm import ids
from podwire.arm.errors import ArmError
from podwire.arm.rules.fields import at, not_parsed
from podwire.arm.rules.world import Body
from podwire.model.aks_rules import check_cluster_name
from podwire.model.pool_rules import check_pool_name

GROUP_NAME, VNET_NAME, NETWORK_NAME = 90, 64, 80
"""The most characters that a name may have."""
TAGS, TAG_NAME, TAG_VALUE = 50, 512, 256
TAG_RESERVED = "<>%&\\?/"
_NAME = re.compile(r"\w([\w.-]*\w)?", re.ASCII)
_GROUP_WRONG = re.compile(r"[^\w.()-]")


def check_name(kind: str, resource_id: str) -> None:
    """kind: lower case. Raises what its resource provider says of a wrong name."""
    name = ids.parse(resource_id).name
    if kind == "microsoft.containerservice/managedclusters":
        check_cluster_name(name)
    elif kind == "microsoft.containerservice/managedclusters/agentpools":
        check_pool_name(name)
    elif kind.startswith("microsoft.network/"):
        check_network_name(name, VNET_NAME if kind.endswith("/virtualnetworks") else NETWORK_NAME)


def check_network_name(name: str, longest: int = NETWORK_NAME) -> None:
    if len(name) <= longest and _NAME.fullmatch(name):
        return
    raise ArmError(
        400,
        "InvalidResourceName",
        f"Resource name {name} is invalid. The name can be up to {longest} characters long. It "
        "must begin with a word character, and it must end with a word character or with '_'. "
        "The name may contain word characters or '.', '-', '_'.",
    )


def check_group_name(name: str) -> None:
    wrong = "".join(dict.fromkeys(_GROUP_WRONG.findall(name)))
    if wrong:
        problem = (
            f"has these invalid characters: '{wrong}'. The name can only be a letter, digit, "
            "'-', '.', '(', ')' or '_'."
        )
    elif len(name) > GROUP_NAME:
        problem = f"has {len(name)} characters. The name can be up to {GROUP_NAME} characters long."
    elif name.endswith("."):
        problem = "ends with a period. The name cannot end with a period."
    else:
        return
    raise ArmError(
        400,
        "InvalidResourceGroup",
        f"The provided resource group name '{name}' {problem} For more details, visit "
        "https://aka.ms/ResourceGroupNamingRestrictions .",
    )


def check_tags(body: Body) -> None:
    tags = at(body, "tags") or {}
    if not isinstance(tags, Mapping):
        raise not_parsed(tags, "object", "tags")
    if len(tags) > TAGS:
        raise _tag("TooManyTags", f"{len(tags)} tags were given. A resource can have {TAGS} tags.")
    for name, value in tags.items():
        _check_tag(name, value)


def _check_tag(name: str, value: object) -> None:
    if any(one in TAG_RESERVED or ord(one) < 32 for one in name):
        listed = ",".join(TAG_RESERVED)
        raise _tag(
            "InvalidTagNameCharacters",
            f"The tag names '{name}' have reserved characters '{listed}' or control characters.",
        )
    if not 1 <= len(name) <= TAG_NAME:
        raise _tag("InvalidTagName", f"A tag name of {len(name)} characters: 1 to {TAG_NAME}.")
    if not isinstance(value, str):
        raise not_parsed(value, "string", f"tags.{name}")
    if len(value) > TAG_VALUE:
        raise _tag(
            "TagValueTooLong",
            f"The value of tag '{name}' has {len(value)} characters. It can have {TAG_VALUE}.",
        )


def _tag(code: str, message: str) -> ArmError:
    return ArmError(400, code, message)

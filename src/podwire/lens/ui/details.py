"""What the page says of a thing: by its data-object, from the snapshot, in the words of the tools.

Pure. Each section names the command that shows the same on the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from podwire.lens.snapshot import Snapshot
from podwire.lens.ui.of_kernel import tell_address, tell_link, tell_space
from podwire.lens.ui.of_kubernetes import tell_node, tell_pod, tell_service
from podwire.lens.ui.of_vnet import tell_nic, tell_subnet
from podwire.lens.ui.sections import Details
from podwire.model.errors import InvalidInputError

_TELLERS: dict[str, Callable[[Snapshot, str], Details]] = {
    "link": tell_link,
    "pod": tell_pod,
    "node": tell_node,
    "space": tell_space,
    "address": tell_address,
    "service": tell_service,
    "subnet": tell_subnet,
    "nic": tell_nic,
}


def details(snapshot: Snapshot, object_: str) -> Details:
    """Raises InvalidInputError when it is not, or no more, in the snapshot."""
    kind, _, rest = object_.partition(" ")
    tell = _TELLERS.get(kind)
    try:
        if tell is None:
            raise LookupError
        found = tell(snapshot, rest)
    except (LookupError, ValueError) as error:
        raise InvalidInputError(
            f"{object_!r} is not there now; things are named as in the picture, "
            "like 'pod default/web' or 'link node/n1 azure0'"
        ) from error
    kept = tuple(one for one in found.sections if one.facts or one.lines)
    return replace(found, object=object_, kind=kind, sections=kept)

"""Loading a whole nftables table, and telling whether the one in the kernel is the one wanted.

A table is replaced in one transaction by the `nft` program, once per node or change. After that it
is *sealed*: an empty chain is added whose name is a digest of the rules' text and of the handles
that the kernel gave them. A table whose seal fits was loaded from this text and no rule of it was
added, removed or replaced since; to see that takes two netlink requests and no process.
Elements of sets that the rules leave open outlive a replacement.
"""

from __future__ import annotations

import hashlib
import re

from podwire.kernel.netns import NetNamespace
from podwire.kernel.nfnetlink import NfNetlink
from podwire.model.errors import KernelError

_SET_BLOCK = re.compile(r"\b(?:set|map)\s+(\S+)\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")


def is_loaded(door: NfNetlink, family: str, name: str, rules: str) -> bool:
    """Whether the kernel's table is this one, untouched."""
    handles = door.rule_handles(family, name)
    return door.has_chain(family, name, seal(rules, handles))


def load(namespace: NetNamespace, door: NfNetlink, family: str, name: str, rules: str) -> None:
    """Replace the table by this one. Raises KernelError with what nft says."""
    table = f"table {family} {name}"
    script = f"add {table}\ndelete {table}\n{table} {{\n{rules}\n}}\n"
    kept = _kept_elements(door, family, name, rules)
    try:
        run(namespace, script + kept, what=table)
    except KernelError:
        if not kept:
            raise
        run(namespace, script, what=table)  # a set of the same name has another type now
    door.add_chain(family, name, seal(rules, door.rule_handles(family, name)))


def seal(rules: str, handles: list[tuple[str, int]]) -> str:
    """The name of the empty chain. handles: (chain, handle) of each rule, in the kernel's order."""
    digest = hashlib.sha1(repr((rules, handles)).encode(), usedforsecurity=False)
    return f"sealed-{digest.hexdigest()[:16]}"


def _kept_elements(door: NfNetlink, family: str, name: str, rules: str) -> str:
    """Commands that add the elements of the sets that the old and the new table have open."""
    open_sets = {one for one, body in _SET_BLOCK.findall(rules) if "elements" not in body}
    try:
        old = [one for one in door.sets(family, name) if one.name in open_sets and one.readable]
        lines = [(one.name, door.elements(family, name, one.name)) for one in old]
    except KernelError:
        return ""  # there is no old table
    return "".join(
        f"add element {family} {name} {set_name} {{ {_listed(elements)} }}\n"
        for set_name, elements in lines
        if elements
    )


def _listed(elements: dict[str, str | None]) -> str:
    return ", ".join(f"{item} : {value}" if value else item for item, value in elements.items())


def run(namespace: NetNamespace, script: str, what: str) -> None:
    """Have nft execute `script` in one transaction. what: how messages call it.

    Raises KernelError with what nft says; nothing has changed then.
    """
    import subprocess  # late: a call that finds its table loaded does not pay for the import

    with namespace.entered():
        try:
            done = subprocess.run(
                ["nft", "-f", "-"],
                input=script,
                capture_output=True,
                text=True,
                check=False,
                close_fds=False,  # a caller's lock, if it is inheritable, lives as long as nft
            )
        except OSError as error:
            raise KernelError(
                f"cannot run nft for {what}: {error.strerror}; install nftables",
                errno=error.errno or 0,
            ) from error
    if done.returncode != 0:
        raise KernelError(f"nft refused {what}: {done.stderr.strip()}")

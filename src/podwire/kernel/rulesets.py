"""Every packet filter of one namespace, as the real programs print it: nft, iptables, ipset.

Read only; what is not there is found out without starting a program. Must not know what the rules
are for. Source: nft(8), iptables-save(8), ipset(8).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from podwire.kernel.netns import NetNamespace
from podwire.kernel.nfnetlink import NfNetlink
from podwire.kernel.procnet import read_text
from podwire.model.errors import KernelError

IPTABLES_TABLES = ("raw", "mangle", "nat", "filter", "security")
FAMILIES = {4: "ip", 6: "ip6"}
_TIMEOUT = 20.0
_IPSET_MODULE = "/sys/module/ip_set"


def nft_tables(namespace: NetNamespace) -> list[tuple[str, str]]:
    """(family, name) of every table. Raises KernelError."""
    door = NfNetlink(namespace)
    try:
        return door.tables()
    finally:
        door.close()


def nft_objects(
    namespace: NetNamespace, tables: Iterable[tuple[str, str]]
) -> list[Mapping[str, Any]]:
    """The objects of these tables in nft's JSON schema, each as {kind: object}. A table that went
    meanwhile has none. Raises KernelError."""
    found: list[Mapping[str, Any]] = []
    for family, name in tables:
        try:
            text = run(namespace, ("nft", "-j", "list", "table", family, name))
        except KernelError:
            if (family, name) in nft_tables(namespace):
                raise
            continue
        found += [one for one in json.loads(text)["nftables"] if "metainfo" not in one]
    return found


def iptables_nft(namespace: NetNamespace, family: int) -> str:
    """What `iptables-save -c` prints of the tables in nf_tables. Raises KernelError."""
    prefix = f"{FAMILIES[family]}tables"
    name = f"{prefix}-nft-save" if shutil.which(f"{prefix}-nft-save") else f"{prefix}-save"
    return run(namespace, (name, "-c"))


def iptables_legacy(namespace: NetNamespace, family: int) -> str:
    """The same of xtables' own, "" when it has none there. Raises KernelError."""
    prefix = f"{FAMILIES[family]}tables"
    if not (read_text(namespace, f"{FAMILIES[family]}_tables_names") or "").strip():
        return ""
    name = f"{prefix}-legacy-save" if shutil.which(f"{prefix}-legacy-save") else f"{prefix}-save"
    return run(namespace, (name, "-c"))


def ipsets(namespace: NetNamespace) -> str:
    """What `ipset save` prints; "" where the kernel has none. Raises KernelError."""
    return run(namespace, ("ipset", "save")) if os.path.isdir(_IPSET_MODULE) else ""


def run(namespace: NetNamespace, argv: Sequence[str]) -> str:
    """What the program prints, run in the namespace. Raises KernelError with what it says."""
    with namespace.entered():
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT,
                check=False,
            )
        except OSError as error:
            raise KernelError(
                f"cannot run {argv[0]}: {error.strerror}; install it to see this part",
                errno=error.errno or 0,
            ) from error
        except subprocess.TimeoutExpired as error:
            raise KernelError(f"{' '.join(argv)} did not end in {_TIMEOUT:g} s") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise KernelError(f"{' '.join(argv)} ended with {done.returncode}, said: {said[-1]}")
    return done.stdout

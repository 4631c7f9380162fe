"""The chain in iptables: its rules as text, whether the kernel has them, putting them there.

The rules are written exactly as `iptables -S` prints them, so that equal means untouched. All
changes are one transaction of iptables-restore: no packet meets half a chain.
Source: kubernetes-sigs/ip-masq-agent (chain, order, comments).
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from .config import LINK_LOCAL, Config

CHAIN = "IP-MASQ-AGENT"
_LOCAL = "ip-masq-agent: local traffic is not subject to MASQUERADE"
_REST = "ip-masq-agent: outbound traffic is subject to MASQUERADE (must be last in chain)"
_ENSURE = (
    "ip-masq-agent: ensure nat POSTROUTING directs all non-LOCAL destination traffic to our custom "
    f"{CHAIN} chain"
)
JUMP = f'-A POSTROUTING -m comment --comment "{_ENSURE}" -m addrtype ! --dst-type LOCAL -j {CHAIN}'
_SECONDS = 30


class IptablesError(RuntimeError):
    """What iptables said."""


def chain_rules(config: Config) -> tuple[str, ...]:
    """The chain's rules in order: RETURN for what keeps its source, MASQUERADE for the rest."""
    linklocal = () if config.masq_link_local else (LINK_LOCAL,)
    cidrs = dict.fromkeys((*linklocal, *config.cidrs))
    kept = (f'{_to(one)} -m comment --comment "{_LOCAL}" -j RETURN' for one in cidrs)
    rest = f' -m comment --comment "{_REST}" -j MASQUERADE'
    return tuple(f"-A {CHAIN}{one}" for one in (*kept, rest))


def _to(cidr: str) -> str:
    """iptables prints no destination for "everywhere"."""
    return "" if cidr == "0.0.0.0/0" else f" -d {cidr}"


def restore_text(rules: Sequence[str], *, jump: bool) -> str:
    """For iptables-restore --noflush: the whole chain anew, and the jump to it if it is missing."""
    lines = ["*nat", f":{CHAIN} - [0:0]", *rules, *((JUMP,) if jump else ()), "COMMIT"]
    return "".join(f"{line}\n" for line in lines)


def present() -> bool:
    """Whether the kernel has the chain at all, with whatever rules."""
    return _listed(CHAIN) is not None


def ensure(config: Config) -> bool:
    """Make the kernel's chain and jump be these; whether anything had to be done.

    Raises IptablesError.
    """
    rules = chain_rules(config)
    jump = JUMP not in (_listed("POSTROUTING") or ())
    if not jump and _listed(CHAIN) == rules:
        return False
    done = _run(["iptables-restore", "--noflush"], restore_text(rules, jump=jump))
    if done.returncode != 0:
        raise IptablesError(f"iptables-restore refuses the chain: {done.stderr.strip()}")
    return True


def _listed(chain: str) -> tuple[str, ...] | None:
    """The chain's rules, None when there is no such chain."""
    done = _run(["iptables", "-w", "-t", "nat", "-S", chain])
    if done.returncode != 0:
        return None
    return tuple(line.strip() for line in done.stdout.splitlines() if line.startswith("-A"))


def _run(argv: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv, input=text, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise IptablesError(f"{argv[0]}: {error}") from error

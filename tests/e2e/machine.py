"""What the machine looks like: a test says with it that a lab left and touched nothing."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

_VOLATILE_SYSCTLS = re.compile(
    r"^(kernel\.(random\.|ns_last_pid|pty\.nr|tainted|sched_domain|perf_|numa_)"
    r"|fs\.(dentry-state|file-nr|inode-nr|inode-state|aio-nr|quota\.|dquot)"
    r"|net\.netfilter\.nf_conntrack_count|vm\.stat|.*\.(stats|nr)\b"
    r"|kernel\.hostname|user\.)"
)
_SYSCTL_ROOTS = ("vm", "kernel", "net", "fs")


def sysctls() -> dict[str, str]:
    """Every readable sysctl of the machine but those that count what is going on."""
    found: dict[str, str] = {}
    for top in _SYSCTL_ROOTS:
        for directory, _, names in os.walk(f"/proc/sys/{top}"):
            for name in names:
                path = Path(directory, name)
                key = str(path.relative_to("/proc/sys")).replace("/", ".")
                if _VOLATILE_SYSCTLS.match(key):
                    continue
                try:
                    found[key] = path.read_text()
                except (OSError, UnicodeDecodeError):
                    continue
    return found


def _output(*argv: str) -> str:
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    return run.stdout


def network() -> dict[str, str]:
    """Links, addresses, routes, rules, neighbours' devices and packet filters of the machine."""
    return {
        "links": re.sub(r"promiscuity \d+", "", _output("ip", "-o", "link", "show")),
        "addresses": re.sub(r"(valid|preferred)_lft \S+", "", _output("ip", "-o", "addr", "show")),
        "routes": _output("ip", "route", "show", "table", "all"),
        "rules": _output("ip", "rule", "show"),
        "iptables": re.sub(r"(?m)^#.*$|\[\d+:\d+\]", "", _output("iptables-save")),
        "nft": re.sub(r"packets \d+ bytes \d+", "", _output("nft", "list", "ruleset")),
    }


def mounts() -> list[str]:
    return sorted(Path("/proc/self/mounts").read_text().splitlines())


def cgroups() -> list[str]:
    return sorted(d for d, _, _ in os.walk("/sys/fs/cgroup") if "podwire" in d)


def processes(word: str) -> list[str]:
    """Command lines of all processes in which `word` occurs, ours and our parents' left out."""
    ours = {os.getpid(), os.getppid()}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in ours:
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if word in line and "pytest" not in line:
                found.append(f"{entry.name} {line}")
    return found


def snapshot(lab: str) -> dict[str, object]:
    """Other labs may come and go beside this one, in cgroups of their own names."""
    return {
        "sysctls": sysctls(),
        "network": network(),
        "mounts": mounts(),
        "labs": [one for one in cgroups() if one.endswith(f"/podwire-{lab}")],
    }

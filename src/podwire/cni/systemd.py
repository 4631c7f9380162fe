"""The agent as a systemd service: its unit, and telling systemd of it.

Source: systemd.unit(5), systemd.service(5), systemd.exec(5), sd_booted(3). Must not know what the
agent does, but for what it needs of the kernel.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from podwire.model.errors import UnavailableError

UNIT = "podwire-agent.service"
UNIT_DIR = "/etc/systemd/system"
_SECONDS = 60.0
_TEXT = """\
# Written by `podwire cni install`. Change it with `systemctl edit {unit}`.
[Unit]
Description=Podwire CNI agent
# The first pod's call should find it; calls without it are served too, slower.
Before=containerd.service crio.service podman.service kubelet.service
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
Restart=always
RestartSec=1
# A hanging agent costs each call its time limit.
WatchdogSec=60
WatchdogSignal=SIGKILL
# SIGTERM goes to the agent alone: it ends when the calls under way have ended, 10 s at most.
KillMode=mixed
TimeoutStopSec=15
OOMScoreAdjust=-900

# Nothing here may give the service mounts of its own (ProtectSystem=, PrivateTmp=, ...): a pod's
# namespace can be a mount that is made later, anywhere. Nor make /proc/sys read-only or hide /proc:
# the agent sets a pod's sysctls and opens /proc/PID/ns/net.
CapabilityBoundingSet={capabilities}
NoNewPrivileges=yes
RestrictNamespaces=net
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6 AF_PACKET
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""
CAPABILITIES = (
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_SYS_ADMIN",  # setns into a pod
    "CAP_SYS_PTRACE",  # a caller's and a pod's /proc/PID/ns
    "CAP_DAC_OVERRIDE",
)
"""All that the agent, and an IPAM plugin that it calls, can be given; of root's others none."""


def runs() -> bool:
    """Whether systemd runs this machine."""
    return Path("/run/systemd/system").is_dir()


def unit_text(argv: Sequence[str]) -> str:
    """The unit for the agent's command line."""
    return _TEXT.format(
        unit=UNIT, command=" ".join(map(_quoted, argv)), capabilities=" ".join(CAPABILITIES)
    )


def enable() -> None:
    """Start the service, an older one anew, now and at each boot. Raises UnavailableError."""
    _systemctl("daemon-reload")
    _systemctl("enable", UNIT)
    _systemctl("restart", UNIT)


def remove(directory: Path) -> bool:
    """Stop the service and forget its unit in `directory`; whether there was one.

    Raises UnavailableError when systemd runs and refuses; the unit is there then.
    """
    path = directory / UNIT
    if not path.exists():
        return False
    if runs():
        _systemctl("disable", "--now", UNIT)
    path.unlink()
    if runs():
        _systemctl("daemon-reload")
    return True


def _systemctl(*words: str) -> None:
    argv = ["systemctl", *words]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{' '.join(argv)}: {error}") from error
    if done.returncode:
        raise UnavailableError(
            f"{' '.join(argv)}: {done.stderr.strip()}; see `journalctl -u {UNIT}`"
        )


def _quoted(word: str) -> str:
    """As systemd.service(5), "Command lines", has it."""
    for special in ("\\", '"'):
        word = word.replace(special, "\\" + special)
    word = word.replace("%", "%%").replace("$", "$$")
    return f'"{word}"' if set(word) & set(" \t\"'\\;") else word

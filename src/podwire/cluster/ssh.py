"""A node's SSH server: Debian's sshd on port 22 of the node, with keys of the node's own.

Must not know who may log in: that is `vm_access`. sshd is unpacked in the cache and not installed,
so it runs with the libraries beside it; sudo is the machine's, with rules of the node's own.
Source: sshd(8), sshd_config(5), sudoers(5), pam.d(5).
"""

from __future__ import annotations

from pathlib import Path

from podwire.cluster.containerd import find_program
from podwire.cluster.images.rootfs import library_folders
from podwire.cluster.node import Node
from podwire.cluster.node_files import PATH
from podwire.cluster.node_root import Directory, File, Link, Step
from podwire.cluster.packages import unpack
from podwire.cluster.ssh_keys import host_keys
from podwire.kernel.process import Program
from podwire.model.progress import Progress, silent

PORT = 22
PACKAGES = ("openssh-server",)
"""Debian packages; installing them would start sshd on the machine."""
CONFIG = "/etc/ssh/sshd_config"
DROP_INS = "/etc/ssh/sshd_config.d"
STATE = "ssh"
"""Below a node's state directory, which the node does not see: its host keys, and its people."""
PID_FILE = "/run/sshd.pid"
_NOT_NEEDED = (
    "adduser", "cdebconf", "debconf", "init-system-helpers", "libc6", "libpam-modules",
    "libpam-modules-bin", "libpam-runtime", "lsb-base", "openssh-client", "openssh-sftp-server",
    "procps", "runit-helper", "sysvinit-utils", "ucf",
)  # fmt: skip
"""What openssh-server depends on besides libraries: for its installation, or there anyway."""
_HELPERS = ("sshd-session", "sshd-auth")
"""Programs which newer versions of sshd start, under this very path."""
_HELPERS_PLACE = "usr/lib/openssh"
SSHD_CONFIG = f"""\
# The first value that is found counts.
Include {DROP_INS}/*.conf
Port {PORT}
PidFile {PID_FILE}
HostKey /etc/ssh/ssh_host_ed25519_key
HostKey /etc/ssh/ssh_host_ecdsa_key
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
# PAM would bring in what the machine has configured for its own logins.
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
X11Forwarding no
SetEnv PATH={PATH} LANG=C.UTF-8
Subsystem sftp internal-sftp
"""
_SUDOERS = f"""\
Defaults env_reset
Defaults secure_path="{PATH}"
Defaults !syslog
Defaults logfile=/var/log/auth.log
root ALL = (ALL:ALL) ALL
@includedir /etc/sudoers.d
"""
_PAM_SUDO = """\
auth required pam_unix.so
account required pam_unix.so
session required pam_permit.so
"""
_SCRIPT = """\
#!/bin/sh
# sshd was unpacked and not installed, so its libraries are beside it.
export LD_LIBRARY_PATH={libraries}
exec {program} "$@"
"""


def ssh_packages(cache: Path, progress: Progress = silent) -> Path:
    """The tree of sshd and its libraries, unpacked in the cache and not installed.

    Raises UnavailableError.
    """
    return unpack(
        PACKAGES,
        cache / "packages" / "ssh",
        progress,
        with_dependencies=True,
        leave_out=_NOT_NEEDED,
        essential=False,
        cache=cache,
    )


def sshd_steps(packages: Path, state: Path) -> tuple[Step, ...]:
    """What sshd and its users need on a node, for `Node.steps`.

    packages: see `ssh_packages`; the node must see it under the same path, as it does the cache.
    state: the node's directory (`layout.node_state`); the host keys are made and kept below it.
    Raises UnavailableError naming what the tree lacks.
    """
    program = find_program(packages, "sshd")
    libraries = ":".join(str(packages / one) for one in library_folders(packages))
    helpers = [packages / _HELPERS_PLACE / name for name in _HELPERS]
    keys = host_keys(state / STATE)
    return (
        Directory("/run/sshd"),
        File("/usr/local/sbin/sshd", _SCRIPT.format(libraries=libraries, program=program), 0o755),
        *(Link(f"/{_HELPERS_PLACE}/{one.name}", str(one)) for one in helpers if one.exists()),
        File(CONFIG, SSHD_CONFIG),
        Directory(DROP_INS),
        *(File(f"/etc/ssh/{name}", text, _mode(name)) for name, text in keys.items()),
        File("/etc/sudoers", _SUDOERS, 0o440),
        File("/etc/pam.d/sudo", _PAM_SUDO),
        File("/etc/pam.d/sudo-i", _PAM_SUDO),
    )


def _mode(key: str) -> int:
    return 0o644 if key.endswith(".pub") else 0o600


def sshd_program(node: Node) -> Program:
    """For a Supervisor; `node` is up and has the steps."""
    return node.program("sshd", ("/usr/local/sbin/sshd", "-D", "-e"))

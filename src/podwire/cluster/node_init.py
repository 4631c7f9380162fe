"""What a node's first process does: make the root file system that it was told, then reap orphans.

Runs alone in fresh namespaces (`python -I -S node_init.py FD`), so it imports nothing of Podwire
and as little as it can: it is on the way of every node's start. It reads a plan (JSON, as
`node_root.encode` writes it) from stdin, performs its steps inside the new root, and reports on FD
one line: "ready PID" with the host's number of this process, or "error ...".

Order matters: everything but the first two mounts happens after pivot_root, with the machine's
root at OLD. An absolute symbolic link (/etc/resolv.conf often is one) can then only lead into the
node, never out into the machine's files.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

OLD = "/.machine"
FLAGS = {
    "ro": 1,
    "nosuid": 2,
    "nodev": 4,
    "noexec": 8,
    "remount": 32,
    "bind": 4096,
    "rec": 16384,
    "shared": 1 << 20,
}
"""MS_* of linux/mount.h."""
_MNT_DETACH = 2
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_LIBC = ctypes.CDLL(None, use_errno=True)
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: list[str], data: str) -> None:
    """mount(2). The target, and the file or directory that it needs, is made when missing."""
    _place(source if "bind" in flags else "", target)
    bits = sum(FLAGS[one] for one in flags)
    args = (source.encode(), target.encode(), kind.encode(), bits, data.encode() or None)
    _check(_LIBC.mount(*args), f"mount {kind or ','.join(flags)} {source} on {target}")


def _place(source: str, target: str) -> None:
    if source and not os.path.isdir(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(target, os.O_CREAT | os.O_EXCL, 0o644))
    else:
        os.makedirs(target, exist_ok=True)


def directory(path: str, mode: int) -> None:
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)


def file(path: str, text: str, mode: int) -> None:
    """A new file; a symbolic link of that name is replaced, not followed."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with suppress(FileNotFoundError):
        os.unlink(path)
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "w") as out:
        out.write(text)


def link(path: str, target: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with suppress(FileNotFoundError):
        os.unlink(path)
    os.symlink(target, path)


def copy(source: str, path: str, mode: int) -> None:
    with open(source, "rb") as have:
        content = have.read()
    with suppress(FileNotFoundError):
        os.unlink(path)
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as out:
        out.write(content)


def sysctl(name: str, value: str) -> None:
    """Set one of this network namespace's own."""
    with open(f"/proc/sys/{name}", "w") as out:
        out.write(value)


def mask(name: str, value: str) -> None:
    """Let /proc/sys/`name` be a plain file that holds `value`: reads as set, changes nothing."""
    if os.path.exists(f"/proc/sys/{name}"):
        plain = f"/run/podwire/sysctl/{name}"
        file(plain, f"{value}\n", 0o644)
        mount(plain, f"/proc/sys/{name}", "", ["bind"], "")


STEPS: dict[str, Any] = {
    "Mount": mount,
    "Directory": directory,
    "File": file,
    "Link": link,
    "Copy": copy,
    "Sysctl": sysctl,
    "Mask": mask,
}


def enter_root(base: str, lower: str, size: str) -> None:
    """Overlay `lower` with a tmpfs at `base` and make that the root, the machine's one at OLD."""
    mount("tmpfs", base, "tmpfs", ["nosuid"], f"mode=755,size={size}")
    for name in ("upper", "work", "root"):
        os.mkdir(f"{base}/{name}")
    options = f"lowerdir={lower},upperdir={base}/upper,workdir={base}/work"
    mount("overlay", f"{base}/root", "overlay", [], options)
    os.makedirs(f"{base}/root{OLD}", exist_ok=True)
    pivot = _SYS_PIVOT_ROOT[os.uname().machine]
    new = f"{base}/root".encode()
    _check(_LIBC.syscall(pivot, new, new + OLD.encode()), "pivot_root")
    os.chdir("/")


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        asked = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        flags = struct.unpack("16sh22x", asked)[1] | _IFF_UP
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags))


def build(plan: dict[str, Any]) -> None:
    socket.sethostname(plan["hostname"])
    loopback_up()
    enter_root(plan["base"], plan["lower"], plan["size"])
    for kind, *values in plan["steps"]:
        STEPS[kind](*values)
    _check(_LIBC.umount2(OLD.encode(), _MNT_DETACH), "umount the machine's root")
    os.rmdir(OLD)
    mount("none", "/", "", ["shared", "rec"], "")


def reap() -> None:
    """The fallback for a machine without a C compiler: the same as node_init.c, but larger."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        signal.sigwait({signal.SIGCHLD})


def main() -> None:
    report = int(sys.argv[1])
    plan = json.load(sys.stdin)
    pid = os.readlink("/proc/self")  # the machine's proc is still there: the machine's number
    os.umask(0o022)
    try:
        build(plan)
        null = os.open("/dev/null", os.O_RDWR)
        for one in (0, 1, 2):
            os.dup2(null, one)
    except Exception as error:  # noqa: BLE001  the process boundary: the reason goes to the parent
        os.write(report, f"error {error}\n".encode())
        sys.exit(1)
    os.set_inheritable(report, False)
    os.write(report, f"ready {pid}\n".encode())
    os.close(report)
    if plan["init"]:
        os.execv(plan["init"], [plan["init"], plan["hostname"]])
    reap()


if __name__ == "__main__":
    main()

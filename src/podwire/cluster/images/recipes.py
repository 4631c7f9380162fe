"""What is in each image: which files of which Debian packages, and how its containers run.

Must not know how images are packed or kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from podwire.cluster.images.oci import Settings
from podwire.cluster.images.rootfs import RootFs

FILES = Path(__file__).with_name("files")
OWN_HOST = "registry.podwire.internal"
"""The host of our own images' names: .internal never leads to a registry of the world."""
IP_MASQ_AGENT = "mcr.microsoft.com/oss/kubernetes/ip-masq-agent:v2.5.0"

PACKAGES = (
    "bash", "bind9-dnsutils", "busybox", "ca-certificates", "curl", "iproute2", "iputils-ping",
    "iptables", "libc6", "ncurses-base", "netcat-openbsd", "nginx-light", "openssh-client",
    "openssh-server", "procps", "python3-dnslib", "python3-minimal", "python3-yaml", "tar",
    "tcpdump",
)  # fmt: skip
_APPLETS = (
    "awk", "base64", "basename", "cat", "chmod", "chown", "clear", "cmp", "cp", "cut", "date", "dd",
    "df", "diff", "dirname", "du", "echo", "env", "expr", "false", "find", "grep", "groups", "gzip",
    "gunzip", "head", "hexdump", "hostname", "id", "kill", "less", "ln", "ls", "md5sum", "mkdir",
    "mktemp", "more", "mv", "nproc", "od", "printenv", "printf", "ps", "pwd", "readlink",
    "realpath", "rm", "rmdir", "sed", "seq", "sh", "sha256sum", "sleep", "sort", "stat", "stty",
    "tail", "tar", "tee", "test", "timeout", "top", "touch", "tr", "true", "tty", "uname", "uniq",
    "vi", "wc", "which", "whoami", "xargs", "yes",
)  # fmt: skip
"""Of busybox; not wget and nslookup, which crash in Debian's build."""
_TOOLS = (
    "bin/bash", "bin/ip", "bin/nc.openbsd", "bin/ping", "bin/ss", "bin/tar", "usr/bin/curl",
    "usr/bin/dig", "usr/bin/free", "usr/bin/host", "usr/bin/nslookup", "usr/bin/pgrep",
    "usr/bin/pkill", "usr/bin/ps", "usr/bin/tcpdump", "usr/bin/top", "usr/bin/uptime",
    "usr/bin/vmstat", "usr/bin/watch", "sbin/sysctl", "sbin/bridge", "etc/iproute2",
)  # fmt: skip
_EXTENSIONS = ("libxt_MASQUERADE.so", "libxt_addrtype.so", "libxt_comment.so", "libxt_standard.so")
"""Of iptables, as far as our rules need them."""
_TERMINALS = (
    "d/dumb", "l/linux", "s/screen", "s/screen-256color", "t/tmux-256color", "v/vt100", "x/xterm",
    "x/xterm-256color",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Materials:
    """What recipes are made from. tree: PACKAGES unpacked; pause: the compiled program.

    python: the name of the tree's interpreter; programs: the files of each of our programs, by the
    name of its package, and of the library that it needs, by path in the image.
    """

    tree: Path
    pause: Path
    python: str
    programs: Mapping[str, Mapping[str, Path]]
    nginx_version: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """names: full references, the first one the image's own; fill: makes its files."""

    short: str
    names: tuple[str, ...]
    settings: Settings
    fill: Callable[[Materials], RootFs]


def recipes(made: Materials) -> tuple[Recipe, ...]:
    nginx = "docker.io/library/nginx"
    pause = tuple(f"{host}/pause:3.2" for host in ("k8s.gcr.io", "registry.k8s.io"))
    return (
        Recipe(
            "pause",
            ("mcr.microsoft.com/oss/kubernetes/pause:1.3.1", *pause),
            Settings(entrypoint=("/pause",)),
            _pause,
        ),
        Recipe(
            "nginx",
            (f"{nginx}:latest", f"{nginx}:{made.nginx_version}"),
            Settings(
                entrypoint=("/docker-entrypoint.sh",),
                cmd=("nginx", "-g", "daemon off;"),
                env=(*Settings().env, f"NGINX_VERSION={made.nginx_version}"),
                ports=("80/tcp",),
                stop_signal="SIGQUIT",
            ),
            _nginx,
        ),
        Recipe(
            "tools",
            ("docker.io/podwire/tools:latest", f"{OWN_HOST}/podwire/tools:latest"),
            Settings(cmd=("/tools-shell.sh",)),
            _tools,
        ),
        Recipe(
            "ssh-server",
            ("docker.io/corbinu/ssh-server:latest",),
            Settings(
                entrypoint=("/usr/local/bin/ssh-start",),
                cmd=("ssh-server",),
                env=(*Settings().env, "TERM=xterm"),
                ports=("22/tcp",),
            ),
            _ssh_server,
        ),
        Recipe(
            "cluster-dns",
            (f"{OWN_HOST}/podwire/cluster-dns:latest", "docker.io/podwire/cluster-dns:latest"),
            Settings(entrypoint=_entry(made, "clusterdns"), ports=("53/udp", "53/tcp")),
            lambda made: _python_program(made, "clusterdns"),
        ),
        Recipe(
            "ip-masq-agent",
            (IP_MASQ_AGENT,),
            Settings(entrypoint=_entry(made, "ipmasqagent")),
            _ip_masq_agent,
        ),
    )


def _entry(made: Materials, program: str) -> tuple[str, ...]:
    return (f"/usr/bin/{made.python}", "-I", "-S", "-B", "-m", program)


def _pause(made: Materials) -> RootFs:
    root = RootFs()
    root.drop("bin", "sbin", "lib", "lib64", "usr")
    root.file("pause", made.pause, 0o755)
    return root


def _nginx(made: Materials) -> RootFs:
    root = _system("nginx:x:101:101:nginx:/nonexistent:/bin/false", "nginx:x:101:")
    root.take(made.tree, "usr/sbin/nginx", "usr/bin/curl", "bin/bash")
    root.take(made.tree, "etc/nginx/mime.types", *_terminals(made.tree))
    _busybox(root, made.tree)
    root.file("docker-entrypoint.sh", FILES / "docker-entrypoint.sh", 0o755)
    root.file("etc/nginx/nginx.conf", FILES / "nginx.conf")
    root.file("etc/nginx/conf.d/default.conf", FILES / "nginx-default.conf")
    root.file("usr/share/nginx/html/index.html", FILES / "index.html")
    for path in ("docker-entrypoint.d", "var/cache/nginx", "var/lib/nginx"):
        root.directory(path)
    root.link("var/log/nginx/access.log", "/dev/stdout")
    root.link("var/log/nginx/error.log", "/dev/stderr")
    return root


def _tools(made: Materials) -> RootFs:
    root = _system()
    root.take(made.tree, *_TOOLS, *_terminals(made.tree))
    _busybox(root, made.tree)
    root.link("usr/bin/nc", "nc.openbsd")
    root.file("pause", made.pause, 0o755)
    root.file("tools-shell.sh", FILES / "tools-shell.sh", 0o755)
    root.file("etc/ssl/certs/ca-certificates.crt", authorities(made.tree))
    return root


def _ssh_server(made: Materials) -> RootFs:
    """Root may log in, by the keys that somebody puts into authorized_keys, as into a jump host."""
    root = _system("sshd:x:74:65534:sshd:/run/sshd:/bin/false")
    root.take(made.tree, "usr/sbin/sshd", "usr/bin/ssh-keygen", "bin/bash", "bin/nc.openbsd")
    root.take(made.tree, "bin/tar", *_terminals(made.tree))
    helpers = [f"usr/lib/openssh/{name}" for name in ("sshd-session", "sshd-auth")]
    root.take(made.tree, *(one for one in helpers if (made.tree / one).exists()))
    _busybox(root, made.tree)
    root.link("usr/bin/nc", "nc.openbsd")
    root.file("usr/local/bin/ssh-start", FILES / "ssh-start.sh", 0o755)
    root.file("etc/ssh/sshd_config", FILES / "sshd_config")
    root.directory("run/sshd")
    root.directory("root/.ssh", 0o700)
    root.file("root/.ssh/authorized_keys", b"", 0o600)
    return root


def _python_program(made: Materials, name: str) -> RootFs:
    """Extension modules of dist-packages are left out: what we use of those works without."""
    root = _system()
    root.take(made.tree, f"usr/bin/{made.python}")
    root.take_library(made.tree, "libgcc_s.so.1")  # glibc loads it when a thread ends
    for path, source in made.programs[name].items():
        if not path.endswith(".so"):
            root.file(path, source)
        elif source == made.tree / path:
            root.take(made.tree, path)
    return root


def _ip_masq_agent(made: Materials) -> RootFs:
    root = _python_program(made, "ipmasqagent")
    root.take(made.tree, "usr/sbin/iptables-nft", "usr/sbin/iptables-nft-restore")
    for name in ("iptables", "iptables-restore"):
        root.link(f"usr/sbin/{name}", "xtables-nft-multi")
    folder = next(made.tree.glob("usr/lib/*/xtables")).relative_to(made.tree)
    found = (folder / name for name in _EXTENSIONS)
    root.take(made.tree, *(str(one) for one in found if os.path.lexists(made.tree / one)))
    return root


def _system(passwd: str = "", group: str = "") -> RootFs:
    """What every image has that is more than one program."""
    root = RootFs()
    users = ("root:x:0:0:root:/root:/bin/sh", passwd, "nobody:x:65534:65534:nobody:/:/bin/false")
    root.file("etc/passwd", _lines(users))
    root.file("etc/group", _lines(("root:x:0:", group, "nogroup:x:65534:")))
    root.file("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")
    root.directory("root", 0o700)
    root.directory("tmp", 0o1777)
    for path in ("dev", "proc", "run", "sys", "var/tmp"):
        root.directory(path)
    root.link("var/run", "/run")
    return root


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines if line).encode()


def _busybox(root: RootFs, tree: Path) -> None:
    """busybox under the names that no program of the image has already."""
    root.take(tree, "bin/busybox")
    for name in _APPLETS:
        if not any(f"usr/{folder}/{name}" in root for folder in ("bin", "sbin")):
            root.link(f"usr/bin/{name}", "busybox")


def _terminals(tree: Path) -> list[str]:
    """The descriptions of the usual terminals, which bash and top look up."""
    paths = [f"lib/terminfo/{name}" for name in _TERMINALS]
    merged = [f"usr/{path}" for path in paths]
    return [path for path in merged if os.path.lexists(tree / path)]


def authorities(tree: Path) -> bytes:
    """All certificate authorities in one file, as update-ca-certificates would write it."""
    found = sorted((tree / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    return b"".join(path.read_bytes().rstrip(b"\n") + b"\n" for path in found)

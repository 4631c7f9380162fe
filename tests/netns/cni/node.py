"""A node behind a tiny fabric: two namespaces, one cable, a wire server in a thread."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from podwire.cni.install import install
from podwire.cni.settings import Settings
from podwire.ipam.ledger import Ledger
from podwire.kernel.netns import NetNamespace, call_libc
from podwire.kernel.pods import WiredPod, wired_pods
from podwire.kernel.rtnetlink import RtNetlink

CLONE_FS = 0x200
NIC_MAC = "00:0d:3a:8a:50:da"
WAIT = 30.0
"""Seconds for what takes milliseconds on a machine that has nothing else to do."""
NODE_IP, GATEWAY, WIRE_SERVER = "10.220.2.4", "10.220.2.1", "168.63.129.16"
SUBNET = "10.220.2.0/24"
URL = f"http://{WIRE_SERVER}/machine/plugins?comp=nmagent&type=getinterfaceinfov1"
# What the runtime sends for the seed's conflist: keys in alphabetical order.
CONFIG: dict[str, Any] = {
    "bridge": "azure0",
    "cniVersion": "0.3.0",
    "ipam": {"type": "azure-vnet-ipam"},
    "ipsToRouteViaHost": ["169.254.20.10"],
    "mode": "bridge",
    "name": "azure",
    "type": "azure-vnet",
}
_FABRIC = f"""
link set lo up
addr add {WIRE_SERVER}/32 dev lo
"""
_CABLE = f"""
link add fab0 type veth peer name eth0 netns NODE address {NIC_MAC}
link set fab0 up
addr add {GATEWAY}/24 dev fab0
"""
_NODE = f"""
link set lo up
link set eth0 up
addr add {NODE_IP}/24 dev eth0
route add default via {GATEWAY}
"""


class WireServer:
    """Answers getinterfaceinfov1 in a thread; what it tells may change under way.

    gate: while it is clear, an answer is held back. addresses6, primary6: of the NIC's IPv6 subnet,
    which it has not while primary6 is "".
    """

    def __init__(self, fabric: NetNamespace, addresses: Iterable[str]) -> None:
        self.addresses = list(addresses)
        self.addresses6: list[str] = []
        self.primary6 = ""
        self.broken = False
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                outer.gate.wait()
                body = outer.document()
                self.send_response(503 if outer.broken else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._fabric, self._handler = fabric, Handler
        self.start()

    def start(self) -> None:
        """Answer (again, after `close`)."""
        with self._fabric.entered():
            self._server = HTTPServer((WIRE_SERVER, 80), self._handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def document(self) -> bytes:
        subnets = _subnet(SUBNET, NODE_IP, self.addresses)
        if self.primary6:
            prefix = f"{self.primary6.partition('::')[0]}::/64"
            subnets += _subnet(prefix, self.primary6, self.addresses6)
        return (
            f'<Interfaces><Interface MacAddress="{NIC_MAC.replace(":", "").upper()}" '
            f'IsPrimary="true">{subnets}</Interface></Interfaces>'
        ).encode()

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _subnet(prefix: str, primary: str, addresses: Iterable[str]) -> str:
    listed = "".join(f'<IPAddress Address="{one}" IsPrimary="false"/>' for one in addresses)
    own = f'<IPAddress Address="{primary}" IsPrimary="true"/>'
    return f'<IPSubnet Prefix="{prefix}">{own}{listed}</IPSubnet>'


@dataclass
class Pod:
    """A container: an id and a network namespace."""

    id: str
    netns: NetNamespace
    name: str = "nginx-7cf567cc7-bgc82"

    def run(self, *argv: str) -> str:
        return inside(self.netns, argv)


@dataclass
class Answer:
    """What a plugin's process gave back."""

    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.stdout)


@dataclass
class Node:
    """One node: its namespaces, its installed plugins, its state."""

    directory: Path
    fabric: NetNamespace
    netns: NetNamespace
    wire_server: WireServer
    stack: ExitStack
    mode: str = "bridge"
    lock_wait: float = 10.0
    agent: subprocess.Popen[bytes] | None = None
    pods: list[Pod] = field(default_factory=list)
    entry: tuple[str, ...] = ()
    """Before a command's words, what makes it run on the node."""
    mounts: int = 0
    """A process whose mount namespace is the node's; 0: the node has the machine's files."""

    @property
    def config(self) -> dict[str, Any]:
        """What a runtime sends for a pod in the node's mode."""
        return {**CONFIG, "mode": self.mode}

    @property
    def settings(self) -> Settings:
        return Settings(
            state_dir=str(self.directory / "state"),
            log_dir=str(self.directory / "log"),
            wire_server_url=URL,
            wire_server_timeout=1.0,
            lock_wait=self.lock_wait,
            cooling_seconds=0.0,  # the lowest free address is the next one: tests can name it
        )

    @property
    def bin(self) -> Path:
        return self.directory / "bin"

    @property
    def log(self) -> str:
        path = self.directory / "log" / "azure-vnet.log"
        return path.read_text() if path.exists() else ""

    def pod(self, identity: str) -> Pod:
        pod = Pod(identity, self.stack.enter_context(NetNamespace.create()))
        self.pods.append(pod)
        return pod

    def environment(self, verb: str, pod: Pod, **other: str) -> dict[str, str]:
        return {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": pod.id,
            "CNI_NETNS": pod.netns.path,
            "CNI_IFNAME": "eth0",
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod.name};"
            f"K8S_POD_INFRA_CONTAINER_ID={pod.id}",
            "CNI_PATH": str(self.bin),
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            **other,
        }

    def start(
        self,
        verb: str,
        pod: Pod,
        plugin: str | Path = "azure-vnet",
        config: dict[str, Any] | None = None,
        **other: str,
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*self.entry, str(self.bin / plugin)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(verb, pod, **other),
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(config or self.config, separators=(",", ":")))
        process.stdin.close()
        process.stdin = None
        return process

    def call(
        self,
        verb: str,
        pod: Pod,
        plugin: str | Path = "azure-vnet",
        config: dict[str, Any] | None = None,
        **other: str,
    ) -> Answer:
        return finish(self.start(verb, pod, plugin, config, **other))

    def run(self, *argv: str) -> str:
        return subprocess.run(
            [*self.entry, *argv], check=True, capture_output=True, text=True
        ).stdout

    def fork(self, work: Callable[[], None]) -> int:
        """Run `work` in a child process inside the node; its wait status."""
        child = os.fork()
        if child == 0:
            try:
                if self.mounts:
                    with open(f"/proc/{self.mounts}/ns/mnt") as door:
                        call_libc("unshare", CLONE_FS)  # a library may have made threads
                        call_libc("setns", door.fileno(), 0)
                with self.netns.entered():
                    work()
                os._exit(0)
            except BaseException:  # noqa: BLE001  a child must never return into pytest
                traceback.print_exc()
                os._exit(1)
        return os.waitpid(child, 0)[1]

    def ledger(self) -> Ledger:
        return Ledger.open(self.settings.state_dir, create=False)

    def wired(self) -> list[WiredPod]:
        return wired_pods(self.netns, "azure0")

    def azv_links(self) -> list[str]:
        with RtNetlink(self.netns) as door:
            return [one.name for one in door.links() if one.name.startswith("azv")]


def finish(process: subprocess.Popen[str]) -> Answer:
    out, err = process.communicate(timeout=60)
    return Answer(process.returncode, out, err)


def inside(netns: NetNamespace, argv: Sequence[str]) -> str:
    command = ["nsenter", f"--net={netns.path}", *argv]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def until(true: Callable[[], bool], otherwise: str = "it never came true") -> None:
    """For what happens beside: the kernel ends a namespace, a process its work, some time later."""
    deadline = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.002)


def build(directory: Path, stack: ExitStack, count: int = 30, mode: str = "bridge") -> Node:
    """A node with `count` addresses for pods; in transparent mode its fabric delivers frames for
    them to the NIC's MAC, as Azure's does."""
    fabric = stack.enter_context(NetNamespace.create())
    _batch(fabric, _FABRIC)
    server = WireServer(fabric, (f"10.220.2.{number}" for number in range(5, 5 + count)))
    stack.callback(server.close)
    netns = _cabled(fabric, stack)
    node = Node(directory, fabric, netns, server, stack, mode, entry=_entry(netns))
    if mode == "transparent":
        deliver_by_table(node)
    (directory / "log").mkdir()
    put_plugins(node)
    return node


def deliver_by_table(node: Node) -> None:
    """The fabric sends frames for the node's pods to its NIC without asking, as Azure's does."""
    command = f"neigh replace {{}} lladdr {NIC_MAC} nud permanent dev fab0\n"
    _batch(node.fabric, "".join(map(command.format, node.wire_server.addresses)))


def set_mode(node: Node, mode: str) -> None:
    """In the node's conflist."""
    path = node.directory / "conf/10-azure.conflist"
    document = json.loads(path.read_text())
    document["plugins"][0]["mode"] = mode
    path.write_text(json.dumps(document))


def put_plugins(node: Node, **given: Any) -> None:
    """given: of `install`, beside or instead of what every test node has."""
    usual = {
        "bin_dir": str(node.bin),
        "conf_dir": str(node.directory / "conf"),
        "lib_dir": str(node.directory / "lib"),
        "state_dir": node.settings.state_dir,
        "log_dir": node.settings.log_dir,
        "wire_server_url": URL,
        "cooling_seconds": node.settings.cooling_seconds,
    }
    install(Path("/"), **{**usual, **given})


def renew(node: Node) -> None:
    """Another machine in the node's place: as after `build`, with no pod and no state."""
    inside(node.fabric, ["ip", "link", "del", "fab0"])
    for one in (*(pod.netns for pod in node.pods), node.netns):
        one.close()
    node.pods.clear()
    shutil.rmtree(node.settings.state_dir, ignore_errors=True)
    node.netns = _cabled(node.fabric, node.stack)
    node.entry = _entry(node.netns)
    if node.mode == "transparent":
        deliver_by_table(node)


def _cabled(fabric: NetNamespace, stack: ExitStack) -> NetNamespace:
    """A machine's namespace, its card in the fabric."""
    netns = stack.enter_context(NetNamespace.create())
    _batch(fabric, _CABLE.replace("NODE", netns.path))
    _batch(netns, _NODE)
    for place, name in ((fabric, "fab0"), (netns, "eth0")):
        until(lambda place=place, name=name: _passes_frames(place, name), f"{name} stays silent")
    return netns


def _passes_frames(netns: NetNamespace, name: str) -> bool:
    with RtNetlink(netns) as door:
        link = door.link(name)
    return link is not None and link.active


def _entry(netns: NetNamespace) -> tuple[str, ...]:
    return "nsenter", f"--net={netns.path}"


def _batch(netns: NetNamespace, commands: str) -> None:
    """Many commands of ip's in one process."""
    words = ["nsenter", f"--net={netns.path}", "ip", "-batch", "-"]
    subprocess.run(words, input=commands.strip() + "\n", check=True, text=True)


def reach(source: NetNamespace, address: str, port: int = 80) -> bytes:
    """The first bytes of an answer over TCP from `source` to a listener at `address`."""
    with source.entered():
        plug = socket.socket()
    with plug:
        plug.settimeout(3)
        plug.connect((address, port))
        plug.sendall(b"GET / HTTP/1.0\r\n\r\n")
        parts = list(iter(lambda: plug.recv(4096), b""))
        return b"".join(parts)[:15]

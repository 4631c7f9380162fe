"""The real ssh client at the real sshd of a node: before VMAccess, after it, and after a reboot."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from podwire.cluster import ssh, vm_access
from podwire.cluster.docker_api import DockerApi
from podwire.cluster.furnish import furnish
from podwire.cluster.node import Node
from podwire.cluster.node_files import PATH
from podwire.cluster.vm_access_settings import VmAccess
from podwire.kernel.process import Supervisor
from podwire.model.errors import InvalidInputError
from podwire.model.layout import CACHE

from .conftest import NAME, booted, output, until


@dataclass(frozen=True, slots=True)
class Client:
    """The machine's ssh in a node's network namespace. directory: of keys and known hosts."""

    node: Node
    directory: Path

    def key(self, name: str) -> str:
        """The public key of that name, made if need be."""
        path = self.directory / name
        if not path.exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(path)],
                check=True,
            )
        return path.with_name(f"{name}.pub").read_text()

    def _argv(self, key: str, words: Sequence[str], user: str, options: str) -> list[str]:
        """Nothing of the machine's own configuration, keys and known hosts is used."""
        defaults = (
            f"UserKnownHostsFile={self.directory}/known_hosts",
            "StrictHostKeyChecking=accept-new",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "ConnectionAttempts=20",
            "LogLevel=ERROR",
        )
        flags = [word for one in defaults for word in ("-o", one)]
        space = ["nsenter", f"--net=/proc/{self.node.pid}/ns/net"]
        place = f"{user}@127.0.0.1"
        ssh = ["ssh", "-F", "none", "-i", str(self.directory / key)]
        return [*space, *ssh, *options.split(), *flags, place, *words]

    async def run(
        self,
        key: str,
        *words: str,
        user: str = "azureuser",
        options: str = "",
        env: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Exit status, and what was said."""
        argv = self._argv(key, words, user, options)
        own = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
        process = await asyncio.create_subprocess_exec(
            *argv,
            env={**own, **(env or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()


@pytest.fixture(scope="session")
def tree() -> Path:
    return ssh.ssh_packages(CACHE)


@pytest.fixture
def client(node: Node, tree: Path, tmp_path: Path) -> Client:
    node.steps = ssh.sshd_steps(tree, node.layout.node_state(NAME))
    (tmp_path / "client").mkdir()
    return Client(node, tmp_path / "client")


@asynccontextmanager
async def serving(node: Node) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    async with booted(node):
        try:
            await start(node, supervisor)
            yield supervisor
        finally:
            await supervisor.stop_all(grace=0)


async def start(node: Node, supervisor: Supervisor) -> None:
    furnish(node)
    await supervisor.start(ssh.sshd_program(node))
    log = node.layout.node_log(NAME, "sshd")
    await until(lambda: "listening on" in log.read_text(), "sshd listens")


REFUSED = (255, "azureuser@127.0.0.1: Permission denied (publickey).\r\n")


def test_a_key_opens_after_vm_access_and_not_before_and_stays_over_a_reboot(
    node: Node, client: Client, run
) -> None:
    settings = {"username": "azureuser", "ssh_key": client.key("right")}
    client.key("wrong")

    async def work() -> None:
        async with serving(node) as supervisor:
            assert await client.run("right", "true") == REFUSED
            vm_access.apply(node, VmAccess.of(settings))
            assert await client.run("right", "hostname; exit 7") == (7, f"{NAME}\n")
            assert await client.run("wrong", "true") == REFUSED
            vm_access.apply(node, VmAccess.of(settings))
            _, keys = await client.run("right", "cat .ssh/authorized_keys; touch kept")
            assert keys == settings["ssh_key"]
            await supervisor.stop_all(grace=0)
            await node.shutdown()
            await node.boot()
            await start(node, supervisor)
            assert await client.run("right", "ls; sudo id -u") == (0, "kept\n0\n")
            assert await client.run("wrong", "true") == REFUSED
            vm_access.apply(node, VmAccess.of({"remove_user": "azureuser"}))
            assert await client.run("right", "true") == REFUSED
            assert await output(node, "ls", "-A", "/home", "/etc/sudoers.d/waagent") == (
                0,
                "/etc/sudoers.d/waagent\n\n/home:\n",
            )

    run(work())


LOOK = """
set -e
id -nG; env | grep ^PATH=; pwd; tty
stat -c %G:%a /run/docker.sock
docker version --format '{{.Server.Version}}'
sudo nsenter -t 1 -n ip -br link | cut -d' ' -f1
sudo brctl addbr azure0
sudo brctl show
"""
"""What the document does on a node; without what a shell before it would expand."""


def test_a_login_shell_has_a_terminal_the_nodes_path_docker_and_sudo(
    node: Node, client: Client, run
) -> None:
    settings = {"username": "azureuser", "ssh_key": client.key("right")}

    async def work() -> None:
        async with serving(node):
            vm_access.apply(node, VmAccess.of(settings))
            api = DockerApi(node.root / "run/none.sock", node.root, NAME)
            await api.serve(node.root / "run/docker.sock")
            try:
                _, path = await client.run("right", "echo $PATH")
                assert path == f"{PATH}\n"
                code, said = await client.run("right", f'bash -lc "{LOOK}"', options="-tt")
            finally:
                await api.close()
            lines = said.split("\r\n")
            assert lines[:3] == ["azureuser docker", f"PATH={PATH}", "/home/azureuser"], said
            assert lines[3].startswith("/dev/pts/")
            assert lines[4:6] == ["docker:660", "19.03.12"]
            assert lines[6] == "lo"
            assert lines[8].startswith("azure0"), said
            assert code == 0

    run(work())


def test_root_the_system_and_those_who_have_expired_do_not_get_in(
    node: Node, client: Client, run
) -> None:
    key = client.key("right")

    async def work() -> None:
        async with serving(node):
            with pytest.raises(InvalidInputError, match="'daemon' is an account of the system"):
                vm_access.apply(node, VmAccess.of({"username": "daemon", "ssh_key": key}))
            (node.root / "root/.ssh").mkdir(mode=0o700)
            (node.root / "root/.ssh/authorized_keys").write_text(key)
            code, said = await client.run("right", "true", user="root")
            assert (code, said) == (255, REFUSED[1].replace("azureuser", "root"))
            expired = {"username": "old", "ssh_key": key, "expiration": "2020-01-31"}
            vm_access.apply(node, VmAccess.of(expired))
            assert (await client.run("right", "true", user="old"))[0] == 255
            vm_access.apply(node, VmAccess.of({**expired, "expiration": "2999-01-31"}))
            assert await client.run("right", "id", "-un", user="old") == (0, "old\n")

    run(work())


def test_a_password_opens_while_one_was_set_and_sudo_then_asks_for_it(
    node: Node, client: Client, run
) -> None:
    askpass = client.directory / "askpass"
    askpass.write_text("#!/bin/sh\necho right horse\n")
    askpass.chmod(0o700)
    env = {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    asked = {"user": "bob", "env": env, "options": "-oBatchMode=no -oNumberOfPasswordPrompts=1"}

    async def work() -> None:
        async with serving(node):
            client.key("none")
            vm_access.apply(node, VmAccess.of({"username": "bob", "password": "right horse"}))
            sudo = "echo right horse | sudo -S -p '' id -un; sudo -kn true 2>&1"
            code, said = await client.run("none", sudo, **asked)
            assert (code, said) == (1, "root\nsudo: a password is required\n")
            (node.root / "etc/ssh/sshd_config").write_text("PermitRootLogin yes\n")
            vm_access.apply(node, VmAccess.of({"reset_ssh": True}))
            assert "PermitRootLogin no" in (node.root / "etc/ssh/sshd_config").read_text()
            code, said = await client.run("none", "true", **asked)
            assert (code, said) == (255, REFUSED[1].replace("azureuser", "bob"))

    run(work())


def test_a_link_in_a_home_does_not_lead_out_of_the_node(
    node: Node, client: Client, tmp_path: Path, run
) -> None:
    settings = {"username": "azureuser", "ssh_key": client.key("right")}

    async def work() -> None:
        async with booted(node):
            vm_access.apply(node, VmAccess.of(settings))
            ssh_directory = node.root / "home/azureuser/.ssh"
            shutil.rmtree(ssh_directory)
            ssh_directory.symlink_to(tmp_path)
            (node.root / str(tmp_path).lstrip("/")).mkdir(parents=True, exist_ok=True)
            vm_access.apply(node, VmAccess.of(settings))
            assert not (tmp_path / "authorized_keys").exists()
            code, keys = await output(node, "cat", f"{tmp_path}/authorized_keys")
            assert (code, keys) == (0, settings["ssh_key"])

    run(work())

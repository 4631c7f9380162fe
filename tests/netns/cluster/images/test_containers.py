"""The images run as the ones they stand for do: under containerd and runc, on a real node."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cri_api.v1 import api_pb2 as cri

from .conftest import Machine, until

pytestmark = pytest.mark.usefixtures("machine")


def test_nginx_serves_its_page_and_stops_quickly(machine: Machine) -> None:
    nginx = machine.start("nginx", "nginx")
    try:
        page = until(lambda: machine.run("curl", "-s", "http://127.0.0.1/", check=False).stdout, "")
        assert "Welcome to nginx!" in page
        assert "Welcome to nginx!" in nginx.exec("curl", "-s", "http://127.0.0.1/")
        users = {line.split()[0] for line in nginx.exec("ps", "-o", "user,args").splitlines()[1:]}
        assert users >= {"root", "nginx"}
        assert "nginx" in nginx.exec("bash", "-c", "ls /etc/nginx/conf.d && nginx -v")
        log = until(lambda: nginx.log.read_text(), "the access log")
        assert "stdout F 127.0.0.1 - - " in log
        assert not [line for line in log.splitlines() if "[warn]" in line or "[emerg]" in line]
        took, code = nginx.stop()
        assert code == 0
        assert took < 3, "SIGQUIT, not the kill after the grace of 10 s, must end it"
    finally:
        nginx.remove()


def test_nginx_runs_scripts_that_were_mounted(machine: Machine) -> None:
    host_path = machine.work / "scripts"
    scripts = machine.inside(host_path)
    scripts.mkdir(parents=True)
    (scripts / "hello.sh").write_text("#!/bin/sh\necho hello from a script\n")
    (scripts / "hello.sh").chmod(0o755)
    (scripts / "plain.sh").write_text("exit 1\n")
    mount = cri.Mount(container_path="/docker-entrypoint.d", host_path=str(host_path))
    nginx = machine.start("nginx-scripts", "nginx", mounts=[mount])
    try:
        until(lambda: "hello from a script" in nginx.log.read_text(), "the script")
        until(lambda: machine.run("curl", "-s", "http://127.0.0.1/", check=False).stdout, "nginx")
    finally:
        nginx.remove()


TOOLS = [
    "curl --version",
    "dig -v",
    "ping -c1 -W1 127.0.0.1",
    "ip -brief address show lo",
    "ss -ltn",
    "nc -h",
    "tcpdump --version",
    "tar --version",
    "ps -e",
    "top -b -n1",
    "free",
    "bash -c 'echo $((1 + 1))'",
    "sh -c 'echo x | awk {print}'",
    "sysctl net.ipv4.ip_forward",
    "bridge -V",
]


def test_every_tool_runs(machine: Machine) -> None:
    tools = machine.start("tools", "podwire/tools")
    try:
        for command in TOOLS:
            assert tools.exec("sh", "-c", command), command
        copied = tools.exec("sh", "-c", "tar -C /etc -cf - passwd | tar -tf -")
        assert copied.strip() == "passwd"
        name = "dig +time=1 +tries=1 @127.0.0.1 -p 1 example.com || echo status $?"
        assert "status 9" in tools.exec("sh", "-c", name)
        took, code = tools.stop()
        assert code == 0
        assert took < 3, "it must end on TERM, not by the kill after the grace of 10 s"
    finally:
        tools.remove()


def test_pause_reaps_what_it_inherits_and_ends_on_term(machine: Machine) -> None:
    tools = machine.start("reaping", "podwire/tools")
    try:
        tools.exec("sh", "-c", "(sleep 0.2 &) ; (sleep 0.3 &)")
        until(lambda: "sleep" not in tools.exec("ps", "-eo", "stat,comm"), "both reaped")
        assert "Z" not in tools.exec("ps", "-eo", "stat=")
        assert tools.exec("/pause", "-v").startswith("pause")
    finally:
        tools.remove()


def test_the_jump_host_takes_root_by_key_and_has_nc(machine: Machine, tmp_path: Path) -> None:
    """As kubectl ssh-jump uses corbinu/ssh-server."""
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", str(key)], check=True)
    options = f"-F none -i {key} -oUserKnownHostsFile={tmp_path}/known -oBatchMode=yes"
    ssh = ["nsenter", f"--net=/proc/{machine.node.pid}/ns/net", "ssh", *options.split()]
    ssh += ["-oStrictHostKeyChecking=no", "root@127.0.0.1"]

    def at(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*ssh, *command], capture_output=True, text=True, timeout=20)

    jump = machine.start("jump", "corbinu/ssh-server")
    try:
        until(lambda: "listening on" in jump.log.read_text(), "sshd listens")
        assert "Permission denied (publickey)" in at("true").stderr
        public = key.with_suffix(".pub").read_text().strip()
        jump.exec("/bin/bash", "-c", f"echo '{public}' > /root/.ssh/authorized_keys")
        done = at("nc 127.0.0.1 22 < /dev/null | head -1; exit 3")
        assert (done.returncode, done.stdout[:12]) == (3, "SSH-2.0-Open"), done.stderr
        took, code = jump.stop()
        assert (code, took < 3) == (0, True)
    finally:
        jump.remove()


def test_files_belong_to_root_and_no_path_of_the_builder_is_left(machine: Machine) -> None:
    tools = machine.start("files", "podwire/tools")
    try:
        alien = tools.exec("sh", "-c", "find / -xdev ! -user root ! -path '/proc/*' | head")
        assert alien == ""
        broken = tools.exec("sh", "-c", "find /usr /etc -type l ! -exec test -e {} ';' -print")
        assert [line for line in broken.splitlines() if not line.startswith("/etc/mtab")] == []
    finally:
        tools.remove()


def test_nothing_is_left_of_a_removed_pod(machine: Machine) -> None:
    nginx = machine.start("gone", "nginx")
    pid = nginx.pid()
    nginx.remove()
    assert not Path(f"{machine.node.root}/proc/{pid}").exists()

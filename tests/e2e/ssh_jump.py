"""Getting onto a node as the public plugin `kubectl ssh-jump` does: the same commands in its order.

The plugin (yokawasa/kubectl-plugin-ssh-jump) makes a pod `sshjump` of the image corbinu/ssh-server,
forwards a port of the machine to its sshd, puts the user's public key there, and logs in to the
node with the pod as a proxy, where it runs nc. It forwards from port 2222, here from a free one.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.harness import LabHarness, run

POD = "sshjump"
_UNCHECKED = "StrictHostKeyChecking=no"


def make_key(home: Path) -> Path:
    """~/.ssh/id_rsa of the home directory, and id_rsa.pub."""
    key = home / ".ssh/id_rsa"
    key.parent.mkdir(mode=0o700, exist_ok=True)
    run("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(key))
    return key


def ssh_jump(
    lab: LabHarness, node: str, *args: str, user: str = "azureuser", stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """`kubectl ssh-jump NODE -u USER -i ~/.ssh/id_rsa -p ~/.ssh/id_rsa.pub [--args ARGS]`.

    stdin: what is typed. The exit status is the command's, or that of ssh (255).
    """
    key = lab.home / ".ssh/id_rsa"
    _ensure_pod(lab)
    with _forwarded(lab) as port:
        _inject(lab, key.with_suffix(".pub").read_text())
        jump = ["ssh", "root@127.0.0.1", "-p", port, "-i", str(key), "-o", _UNCHECKED, "nc %h %p"]
        login = ["ssh", "-i", str(key), "-p", "22", f"{user}@{node}"]
        login += ["-o", f"ProxyCommand {shlex.join(jump)}", "-o", _UNCHECKED, *args]
        return subprocess.run(
            _at_home(lab.home, login), input=stdin, capture_output=True, text=True, timeout=120
        )


def _ensure_pod(lab: LabHarness) -> None:
    """The plugin waits up to ten seconds for the pod to be Running."""
    pods = lab.kubectl("get", "pods", "-o", "name")
    if f"pod/{POD}" not in pods.split():
        lab.kubectl("run", POD, "--image=corbinu/ssh-server", "--port=22", "--restart=Never")
    lab.kubectl("wait", "--for=condition=Ready", f"pod/{POD}", "--timeout=60s")


@contextmanager
def _forwarded(lab: LabHarness) -> Iterator[str]:
    """A port of the machine's loopback that leads to the pod's sshd."""
    argv = [lab.kubectl_path, "port-forward", POD, ":22"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=lab.env) as forward:
        try:
            assert forward.stdout is not None
            line = forward.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            assert found, line
            yield found[1]
        finally:
            forward.terminate()


def _inject(lab: LabHarness, public: str) -> None:
    script = "cat > /root/.ssh/authorized_keys"
    argv = [lab.kubectl_path, "exec", "-i", POD, "--", "/bin/bash", "-c", script]
    subprocess.run(argv, input=public, text=True, env=lab.env, check=True, timeout=60)


def _at_home(home: Path, argv: list[str]) -> list[str]:
    """ssh looks for ~ in passwd, not in $HOME: let it find `home` there, in mounts of its own, so
    that no known host and no key of the machine's user comes in or goes out."""
    own = pwd.getpwuid(os.geteuid()).pw_dir
    script = f'mount --bind {shlex.quote(str(home))} {shlex.quote(own)} && exec "$@"'
    agentless = ["env", "-u", "SSH_AUTH_SOCK", "-u", "SSH_ASKPASS"]
    return ["unshare", "--mount", "--", "sh", "-c", script, "sh", *agentless, *argv]

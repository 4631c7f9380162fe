"""The extension VMAccessForLinux on a node: an account with a key or password, or one removed.

Must not know whence its settings come. What it did is kept on the node's disk (`ssh.STATE`), and
`restore` puts it back at each boot, for a node's /etc is made anew then.

Source: Azure/azure-linux-extensions, VMAccess 1.5 (README, vmaccess.py). As there: an existing
account is kept and changed; keys are added to those it has; every account may use sudo, without a
password unless one was given; a password lets sshd take passwords, until reset_ssh; an empty one
is ignored. Other than there: a key that is in the file is not added twice; ECDSA and Ed25519 keys
are taken too; an account of the system is refused when it is to be removed, not only when it is to
be changed; reset_ssh leaves iptables alone; `check_disk` and `repair_disk` do nothing, a node
having no such disks.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from podwire.cluster import node_files, ssh
from podwire.cluster.accounts import Account, Databases, People
from podwire.cluster.commands import run
from podwire.cluster.docker_api.paths import resolve_in_root
from podwire.cluster.files import write_file
from podwire.cluster.node import Node
from podwire.cluster.vm_access_settings import VmAccess
from podwire.model.errors import ProcessError

_SUDOERS = "etc/sudoers.d/waagent"
_DROP_IN = f"{ssh.DROP_INS.lstrip('/')}/50-vmaccess.conf"
_PASSWORDS = "PasswordAuthentication yes\n"
_RELOAD = f"test ! -e {ssh.PID_FILE} || kill -HUP $(cat {ssh.PID_FILE})"


def apply(node: Node, wish: VmAccess) -> None:
    """Do it, on a node that is up. Blocks; idempotent; one call at a time for one node.

    Raises InvalidInputError for an account of the system, ProcessError when sshd cannot be told.
    """
    known = _databases(node.root)
    for name in filter(None, (wish.remove_user, wish.username)):
        known.uid(name)  # refuses one of the system, before anything is done
    before = people = _kept(node)
    if wish.reset_ssh:
        people = replace(people, password_logins=False)
        write_file(node.root / ssh.CONFIG.lstrip("/"), ssh.SSHD_CONFIG.encode())
    if wish.remove_user:
        people = _remove(node.root, people, wish.remove_user)
    if wish.username:
        people = _set(node.root, people, wish)
    _keep(node, people)
    _write(node.root, people)
    if wish.key:
        _authorize(node.root, _account(people, wish.username), wish.key)
    if wish.reset_ssh or people.password_logins != before.password_logins:
        run(node.enter(["/bin/sh", "-c", _RELOAD]))


def restore(node: Node) -> None:
    """Put what was done in the node's earlier lives back, on a node that has just booted."""
    people = _kept(node)
    if people.accounts or people.password_logins:
        _write(node.root, people)


def _set(root: Path, people: People, wish: VmAccess) -> People:
    name = wish.username
    uid = _databases(root).uid(name)
    account = replace(people.find(name) or Account(name, uid), uid=uid)
    account = replace(account, sudo_asks=bool(wish.password))
    if wish.password:
        account = replace(account, password=wish.password)
        people = replace(people, password_logins=True)
    if wish.expires:
        account = replace(account, expires=wish.expires)
    return people.having(account)


def _account(people: People, name: str) -> Account:
    found = people.find(name)
    assert found is not None
    return found


def _remove(root: Path, people: People, name: str) -> People:
    """Account, group and home; an account that does not exist is as good as removed."""
    _write_databases(root, _databases(root).without(name))
    with suppress(FileNotFoundError):
        shutil.rmtree(root / "home" / name)
    return people.without(name)


def _write(root: Path, people: People) -> None:
    """The node's files say that these people exist."""
    _write_databases(root, _databases(root).having(people.accounts))
    write_file(root / _SUDOERS, people.sudoers.encode(), mode=0o440)
    drop_in = root / _DROP_IN
    if people.password_logins:
        write_file(drop_in, _PASSWORDS.encode())
    else:
        drop_in.unlink(missing_ok=True)
    for one in people.accounts:
        _make_home(root, one)


def _make_home(root: Path, account: Account) -> None:
    home = root / account.home.lstrip("/")
    with suppress(FileExistsError):
        home.mkdir(0o750)
        owner = (account.uid, account.uid)
        write_file(home / ".bashrc", node_files.BASHRC.encode(), owner=owner)
        write_file(home / ".profile", node_files.BASH_PROFILE.encode(), owner=owner)
        os.chown(home, *owner)


def _authorize(root: Path, account: Account, key: str) -> None:
    """Add the key. Links in a home are followed as the node does, never to the machine's files."""
    owner = (account.uid, account.uid)
    directory = resolve_in_root(root, f"{account.home}/.ssh")
    if not directory.exists():
        directory.mkdir()
    os.chown(directory, *owner)
    directory.chmod(0o700)
    path = resolve_in_root(root, f"{account.home}/.ssh/authorized_keys")
    have = path.read_text() if path.exists() else ""
    if key not in have.splitlines():
        start = have if have.endswith("\n") or not have else f"{have}\n"
        write_file(path, f"{start}{key}\n".encode(), mode=0o600, owner=owner)


def _databases(root: Path) -> Databases:
    return Databases(*((root / "etc" / name).read_text() for name in ("passwd", "group", "shadow")))


def _write_databases(root: Path, made: Databases) -> None:
    write_file(root / "etc/group", made.group.encode())
    write_file(root / "etc/shadow", made.shadow.encode(), mode=0o640)
    write_file(root / "etc/passwd", made.passwd.encode())


def _kept_in(node: Node) -> Path:
    return node.layout.node_state(node.name) / ssh.STATE / "people.json"


def _kept(node: Node) -> People:
    path = _kept_in(node)
    try:
        return People.from_json(path.read_text())
    except FileNotFoundError:
        return People()
    except (ValueError, KeyError, TypeError) as error:
        raise ProcessError(
            f"{path} is damaged ({error}); remove it, and set the extension again"
        ) from error


def _keep(node: Node, people: People) -> None:
    path = _kept_in(node)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(path, people.to_json().encode(), mode=0o600)

"""The user's own kubeconfig file: a lab's context merged into it and removed again.

The file stays its owner's, also when root does this under sudo, and a symlink stays one. Writers
are kept apart with kubectl's own lock, FILE.lock. Source: client-go's clientcmd (ModifyConfig,
lockFile): the lock is a file that is created exclusively and deleted afterwards.
"""

from __future__ import annotations

import os
import pwd
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from podwire.cluster.files import write_file
from podwire.cluster.kubeconfig import Document, cluster_entry, to_yaml, user_entry
from podwire.cluster.kubeconfig_merge import LabEntry, is_bare, labs, merged, removed
from podwire.cluster.pki import Credential
from podwire.model.errors import InvalidInputError, PodwireError, UnavailableError

_LOCK_WAIT = 5.0
_SHELLS = ("bash", "dash", "fish", "ksh", "sh", "su", "su -", "zsh")
_NEW: Document = {"apiVersion": "v1", "kind": "Config", "preferences": {}}


def kubeconfig_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The file that the user's kubectl writes: $KUBECONFIG's first entry, else ~/.kube/config.

    Under `sudo COMMAND` the home is that of the user who typed it.
    """
    for entry in environ.get("KUBECONFIG", "").split(":"):
        if entry:
            return Path(entry).absolute()
    return _home(environ) / ".kube" / "config"


def user_name(resource_group: str, cluster: str) -> str:
    """The user's name in the kubeconfig, as `az aks get-credentials` writes it."""
    return f"clusterUser_{resource_group}_{cluster}"


def check(path: Path, *, lab: str, context: str, user: str) -> None:
    """Raise InvalidInputError if `merge` would refuse; changes nothing and takes no lock."""
    target = _target(path)
    if _status(target) is not None:
        with _naming(path):
            merged(_read(target), LabEntry(lab, context, user, {}, {}))


def merge(
    path: Path, *, lab: str, context: str, user: str, server: str, credential: Credential
) -> None:
    """Add the lab to the kubeconfig and make its context current. Again: brings it up to date.

    server: https://127.0.0.1:PORT. Raises InvalidInputError when the file cannot be understood or
    a name is somebody else's, UnavailableError when it stays locked; nothing is changed then.
    """
    cluster, credentials = cluster_entry(server, credential.ca), user_entry(credential)
    entry = LabEntry(lab, context, user, cluster, credentials)
    made = _make_directories(path)
    try:
        with _locked(path):
            _merge(path, entry, made)
    except BaseException:
        _remove_directories(path, made)
        raise


def remove(path: Path, *, lab: str) -> bool:
    """Take out exactly what `merge` added; False when nothing of the lab was there.

    A file that `merge` made is deleted when nothing else came into it, and so is its directory.
    """
    if not path.is_file():
        return False
    with _locked(path):
        target = _target(path)
        before = _status(target)
        if before is None:
            return False
        document = _read(target)
        with _naming(path):
            left, record = removed(document, lab)
        if left == document:
            return False
        origin = (record or {}).get("origin") or {}
        gone = bool(origin.get("created")) and is_bare(left)
        if gone:
            target.unlink()
        elif labs(left):
            _write(target, left, before)
        else:
            _write(target, left, before, int(str(origin.get("mode", "0600")), 8))
    if gone:
        _remove_directories(path, origin.get("directories"))
    return True


def _merge(path: Path, entry: LabEntry, made: int) -> None:
    target = _target(path)
    before = _status(target)
    origin: Document = {}
    if before is None:
        document, origin = dict(_NEW), {"created": True, "directories": made}
    else:
        document, mode = _read(target), stat.S_IMODE(before.st_mode)
        origin = {} if mode == 0o600 else {"mode": f"{mode:04o}"}
    with _naming(path):
        document = merged(document, entry, origin)
    _write(target, document, before)


def _home(environ: Mapping[str, str]) -> Path:
    caller = environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and caller.isdigit() and not _is_shell(environ.get("SUDO_COMMAND", "")):
        with suppress(KeyError):
            return Path(pwd.getpwuid(int(caller)).pw_dir)
    return Path(environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir)


def _is_shell(command: str) -> bool:
    """Whether sudo opened a shell of root (sudo -i, sudo su): who types there looks in /root."""
    return command.rpartition("/")[2] in _SHELLS


def _target(path: Path) -> Path:
    """The file itself, when `path` is a symlink to it."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise InvalidInputError(f"kubeconfig {path}: {error}; correct the symlink") from error


def _status(target: Path) -> os.stat_result | None:
    try:
        return target.stat()
    except FileNotFoundError:
        return None


class _Loader(yaml.SafeLoader):
    """Dates stay the text that they are: nothing in a kubeconfig is a date."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if not tag.endswith(":timestamp")]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _read(target: Path) -> Document:
    try:
        document = yaml.load(target.read_bytes(), _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise InvalidInputError(
            f"kubeconfig {target}, line {line}: {error.problem}; correct the file or move it away"
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidInputError(
            f"kubeconfig {target} is no YAML: {error}; correct the file or move it away"
        ) from error
    except OSError as error:
        raise InvalidInputError(f"kubeconfig {target}: {error.strerror}") from error
    if document is not None and not isinstance(document, dict):
        raise InvalidInputError(
            f"kubeconfig {target}, line 1: no mapping; correct the file or move it away"
        )
    return document or {}


def _write(
    target: Path, document: Document, before: os.stat_result | None, mode: int = 0o600
) -> None:
    """It holds a key: 0600. A new file belongs to whom its directory belongs."""
    like = before or target.parent.stat()
    owner = (like.st_uid, like.st_gid) if os.geteuid() == 0 else None
    content = to_yaml(document) if document else b""
    try:
        write_file(target, content, mode=mode, owner=owner, sync=True)
    except OSError as error:
        raise PodwireError(f"cannot write kubeconfig {target}: {error.strerror}") from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"kubeconfig {path}: {error}") from error


def _make_directories(path: Path) -> int:
    """Make what is missing above `path`, each owned like what it lies in; how many were made."""
    missing = [one for one in path.parents if not one.exists()]
    for one in reversed(missing):
        try:
            one.mkdir(mode=0o700)
            if os.geteuid() == 0:
                like = one.parent.stat()
                os.chown(one, like.st_uid, like.st_gid)
        except OSError as error:
            raise PodwireError(f"cannot make {one}: {error.strerror}") from error
    return len(missing)


def _remove_directories(path: Path, count: object) -> None:
    """Undo `_make_directories`, up to the first directory that is used by others."""
    with suppress(OSError):
        for one in list(path.parents)[: count if isinstance(count, int) else 0]:
            one.rmdir()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = path.with_name(f"{path.name}.lock")
    _take(lock)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _take(lock: Path) -> None:
    """Ours says whose it is, so that one left by a killed process is not waited for."""
    end = time.monotonic() + _LOCK_WAIT
    while True:
        try:
            handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            if _abandoned(lock):
                lock.unlink(missing_ok=True)
            elif time.monotonic() > end:
                raise UnavailableError(
                    f"{lock} exists: another program is writing the kubeconfig; "
                    "if none is, remove that file"
                ) from None
            else:
                time.sleep(0.05)
        except OSError as error:
            raise PodwireError(f"cannot make {lock}: {error.strerror}") from error
        else:
            os.write(handle, f"podwire {os.getpid()}".encode())
            os.close(handle)
            return


def _abandoned(lock: Path) -> bool:
    try:
        words = lock.read_text().split()
    except (OSError, ValueError):
        return False
    if len(words) != 2 or words[0] != "podwire" or not words[1].isdigit():
        return False
    return not Path("/proc", words[1]).exists()

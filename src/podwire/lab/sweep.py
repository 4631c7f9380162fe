"""Removing what is left of a lab when nobody else does: after a kill -9, a crash, half an `up`.

All of a lab hangs below its daemon, so that what can be left is: processes in its cgroups, the
cgroups, its directories, and the kubeconfig entry.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from podwire.cluster import user_kubeconfig
from podwire.cluster.cgroups import LabCgroups
from podwire.lab.control import daemon_pid
from podwire.lab.store import Store
from podwire.model.errors import PodwireError
from podwire.model.layout import LabLayout


def exists(layout: LabLayout) -> bool:
    """Whether anything of the lab is on the machine."""
    return any(one.exists() for one in (layout.state, layout.run, layout.logs))


def sweep(layout: LabLayout, *, keep_logs: bool = False) -> None:
    """Remove all that is left of the lab; nothing left is fine.

    Raises PodwireError when something cannot be removed; the rest is removed all the same.
    """
    troubles: list[str] = []
    for remove in (_end_daemon, _remove_cgroups, remove_kubeconfig_entry):
        try:
            remove(layout)
        except (PodwireError, OSError) as error:
            troubles.append(str(error))
    directories = [layout.state, layout.run, *([] if keep_logs else [layout.logs])]
    for directory in directories:
        _remove_tree(directory, troubles)
    for root in (layout.state_root, layout.run_root, layout.log_root):
        with suppress(OSError):
            root.rmdir()
    if troubles:
        raise PodwireError(f"lab {layout.name} is not all gone: {'; '.join(troubles)}")


def remove_machines(layout: LabLayout, cgroups: LabCgroups, names: Iterable[str]) -> None:
    """What nodes that shall not be any more have left: cgroups and disks. None of them runs."""
    for name in names:
        cgroups.kill(name)
        cgroups.remove(name)
        shutil.rmtree(layout.node_state(name), ignore_errors=True)


def _end_daemon(layout: LabLayout) -> None:
    """The daemon that holds the lab's lock, when it did not go by itself."""
    pid = daemon_pid(layout)
    if pid is None:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while daemon_pid(layout) is not None:
        if time.monotonic() > deadline:
            raise PodwireError(f"the daemon (pid {pid}) does not end after SIGKILL")
        time.sleep(0.02)


def _remove_cgroups(layout: LabLayout) -> None:
    found = LabCgroups.find(layout)
    if found is not None:
        found.kill()
        found.remove()


def remove_kubeconfig_entry(layout: LabLayout) -> None:
    """Take the cluster's context out of the kubeconfig into which `up` merged it."""
    if not layout.store.exists():
        return
    store = Store(layout.store)
    try:
        merged = store.setting("merged")
    finally:
        store.close()
    if merged is not None:
        user_kubeconfig.remove(Path(merged["path"]), lab=layout.name)


def _remove_tree(directory: Path, troubles: list[str]) -> None:
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        pass
    except OSError as error:
        troubles.append(f"{error.filename}: {error.strerror}")

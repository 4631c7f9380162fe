"""A container runtime's part of CNI: running a list's plugins in order, as libcni does.

ADD passes each plugin's result to the next and keeps the last one; DEL runs backwards and gets
that one. Source: CNI specification 1.1.0, sections 1 (configuration) and 3 (execution).
Must not know what any plugin does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from podwire.cni import libcni
from podwire.cni.attachment import Attachment
from podwire.cni.execute import execute, find
from podwire.cni.networklist import NetworkList
from podwire.model.cni_error import (
    DELEGATE_FAILED,
    SUPPORTED,
    UNKNOWN_CONTAINER,
    UNSUPPORTED_FIELD,
    CniError,
)
from podwire.model.cni_result import Result
from podwire.model.errors import InvalidInputError, PodwireError

CACHE_DIR = "/run/podwire/cni"
"""Results of ADD. No attachment outlives a boot."""
BIN_DIR = "/opt/cni/bin"


class Runtime:
    """Runs one network's plugins. bin_dirs: as CNI_PATH, separated by colons."""

    def __init__(
        self, network: NetworkList, *, bin_dirs: str = BIN_DIR, cache_dir: str = CACHE_DIR
    ) -> None:
        self.network = network
        self._bin_dirs = bin_dirs
        self._cache_dir = cache_dir

    def alone(self, kind: str) -> Runtime:
        """Of the network the plugin `kind` by itself, in the newest version that it knows: for
        lists that are older than a verb. Raises InvalidInputError, CniError."""
        found = [one for one in self.network.plugins if one["type"] == kind]
        if not found:
            have = ", ".join(one["type"] for one in self.network.plugins)
            raise InvalidInputError(f"{self.network.source} has no plugin {kind!r}; it has {have}")
        one = replace(self.network, plugins=tuple(found[:1]))
        dirs = {"bin_dirs": self._bin_dirs, "cache_dir": self._cache_dir}
        known = Runtime(one, **dirs).versions()[kind]
        newest = next((v for v in reversed(SUPPORTED) if v in known), one.version)
        return Runtime(replace(one, version=newest), **dirs)

    def add(self, attachment: Attachment) -> dict[str, Any]:
        """The last plugin's result. When one fails, what the ones before it made is removed.

        Raises CniError with the failing plugin's code; its type stands before the message.
        """
        if self._read(attachment) is not None:
            raise CniError(
                UNSUPPORTED_FIELD,
                f"container {attachment.container_id} has {attachment.ifname} in network "
                f"{self.network.name} already; delete it first",
            )
        result: dict[str, Any] | None = None
        try:
            for plugin in self.network.plugins:
                result = self._run("ADD", plugin, attachment, result)
                if result is None:
                    raise CniError(DELEGATE_FAILED, f"{plugin['type']}: ADD printed no result")
            self._write(attachment, result)
        except PodwireError:
            with suppress(PodwireError):
                self._delete_all(attachment, result)
            raise
        return result or {}

    def delete(self, attachment: Attachment) -> None:
        """Once more, and of what was never there: success. All plugins run; the first error is
        raised, and the result is kept for another try."""
        cached = self._read(attachment)
        if cached is not None:
            attachment = _completed(attachment, cached[0])
        self._delete_all(attachment, cached[1] if cached else None)
        with suppress(FileNotFoundError):
            os.unlink(self._file(attachment))

    def check(self, attachment: Attachment) -> None:
        """Also of what libcni keeps, for other runtimes. Raises CniError; 3 for an attachment that
        nobody added."""
        self.network.require("CHECK", "0.4.0")
        cached = self._read(attachment) or libcni.kept(self.network.name, attachment)
        if cached is None:
            raise CniError(
                UNKNOWN_CONTAINER,
                f"container {attachment.container_id} was not given {attachment.ifname} in "
                f"network {self.network.name} from here; add it first",
            )
        if self.network.disable_check:
            return
        attachment, previous = _completed(attachment, cached[0]), cached[1]
        if previous.get("cniVersion", self.network.version) != self.network.version:
            previous = Result.from_json(previous).to_json(self.network.version)
        for plugin in self.network.plugins:
            self._run("CHECK", plugin, attachment, previous)

    def gc(self, keep: set[tuple[str, str]]) -> list[Attachment]:
        """Delete the known attachments that are not kept, then let each plugin collect its own.

        keep: (container id, interface name). Returns what was deleted by name.
        """
        stale = [one for one in self.attachments() if (one.container_id, one.ifname) not in keep]
        for attachment in stale:
            self.delete(attachment)
        if self.network.disable_gc:
            return stale
        self.network.require("GC", "1.1.0")
        listed = [
            {"containerID": container, "ifname": ifname} for container, ifname in sorted(keep)
        ]
        for plugin in self.network.plugins:
            self._run("GC", {**plugin, "cni.dev/valid-attachments": listed}, None, None)
        return stale

    def status(self) -> None:
        """Raises the first plugin's CniError: 50, 51, or another."""
        self.network.require("STATUS", "1.1.0")
        for plugin in self.network.plugins:
            self._run("STATUS", plugin, None, None)

    def versions(self) -> dict[str, list[str]]:
        """Each plugin's supported versions, by type."""
        said = {one["type"]: self._run("VERSION", one, None, None) for one in self.network.plugins}
        return {kind: list((one or {}).get("supportedVersions", ())) for kind, one in said.items()}

    def attachments(self) -> list[Attachment]:
        """Those that were added to this network from here and not deleted."""
        return _attachments(self._directory)

    def _delete_all(self, attachment: Attachment, result: dict[str, Any] | None) -> None:
        errors = []
        previous = result if self.network.at_least("0.4.0") else None
        for plugin in reversed(self.network.plugins):
            try:
                self._run("DEL", plugin, attachment, previous)
            except CniError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _run(
        self,
        verb: str,
        plugin: Mapping[str, Any],
        attachment: Attachment | None,
        previous: dict[str, Any] | None,
    ) -> dict[str, Any] | None:
        path = find(plugin["type"], self._bin_dirs)
        if path is None:
            raise CniError(
                DELEGATE_FAILED,
                f"there is no plugin {plugin['type']!r} in {self._bin_dirs}; install it there "
                "(`podwire cni install` puts azure-vnet) or give its directory by --bin-dir",
            )
        config = self.network.configuration(plugin, attachment.capabilities if attachment else {})
        if previous is not None:
            config["prevResult"] = previous
        env = {"CNI_COMMAND": verb, "CNI_PATH": self._bin_dirs, **_environment(attachment)}
        try:
            return execute(path, json.dumps(config).encode(), env)
        except CniError as error:
            raise CniError(error.code, f"{plugin['type']}: {error.msg}", error.details) from error

    # The results of ADD

    @property
    def _directory(self) -> str:
        return os.path.join(self._cache_dir, self.network.name)

    def _file(self, attachment: Attachment) -> str:
        return os.path.join(self._directory, f"{attachment.container_id}-{attachment.ifname}.json")

    def _read(self, attachment: Attachment) -> tuple[Attachment, dict[str, Any]] | None:
        try:
            return _decoded(self._file(attachment))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # a lost result must not stop a DEL

    def _write(self, attachment: Attachment, result: dict[str, Any] | None) -> None:
        """Whole or not at all."""
        path = self._file(attachment)
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            with open(f"{path}.new", "w") as file:
                json.dump({"attachment": asdict(attachment), "result": result}, file)
            os.replace(f"{path}.new", path)
        except OSError as error:
            raise PodwireError(f"cannot keep the result in {path}: {error.strerror}") from error


def all_attachments(cache_dir: str = CACHE_DIR) -> list[Attachment]:
    """Those that were added to any network from here and not deleted."""
    with suppress(OSError):
        networks = sorted(os.listdir(cache_dir))
        return [one for name in networks for one in _attachments(os.path.join(cache_dir, name))]
    return []


def _attachments(directory: str) -> list[Attachment]:
    found = []
    with suppress(FileNotFoundError, NotADirectoryError):
        for name in sorted(os.listdir(directory)):
            with suppress(OSError, ValueError, KeyError, TypeError):
                found.append(_decoded(os.path.join(directory, name))[0])
    return found


def _environment(attachment: Attachment | None) -> dict[str, str]:
    if attachment is None:
        return dict.fromkeys(("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"), "")
    return {
        "CNI_CONTAINERID": attachment.container_id,
        "CNI_NETNS": attachment.netns,
        "CNI_IFNAME": attachment.ifname,
        "CNI_ARGS": attachment.args,
    }


def _completed(given: Attachment, cached: Attachment) -> Attachment:
    """What the caller did not say is as it was at ADD."""
    return Attachment(
        given.container_id,
        given.netns or cached.netns,
        given.ifname,
        given.args or cached.args,
        given.capabilities or cached.capabilities,
    )


def _decoded(path: str) -> tuple[Attachment, dict[str, Any]]:
    if not path.endswith(".json"):
        raise ValueError(path)
    with open(path) as file:
        raw = json.load(file)
    return Attachment(**raw["attachment"]), dict(raw["result"])

"""A network's configuration list, as a runtime reads it from a file or a directory.

Source: CNI specification 1.1.0, section 1; libcni's rules for a directory (first file by name).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from podwire.model.cni_error import DEFAULT_VERSION, INCOMPATIBLE_VERSION, SUPPORTED, CniError
from podwire.model.errors import InvalidInputError

CONF_DIR = "/etc/cni/net.d"
_SUFFIXES = (".conf", ".conflist", ".json")
AZURE: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "azure",
    "plugins": [
        {
            "type": "azure-vnet",
            "mode": "bridge",
            "bridge": "azure0",
            "ipam": {"type": "azure-vnet-ipam"},
        }
    ],
}
"""Where there is no configuration."""


@dataclass(frozen=True, slots=True)
class NetworkList:
    """version: the one that was agreed on. plugins: their configurations, in the order of ADD."""

    name: str
    version: str
    plugins: tuple[Mapping[str, Any], ...]
    disable_check: bool = False
    disable_gc: bool = False
    source: str = ""

    @classmethod
    def load(cls, path: str) -> NetworkList:
        """The list in the file `path`, or in the directory's first file. Raises
        InvalidInputError with the file, the field and the value."""
        if os.path.isdir(path):
            first = first_file(path)
            if first is None:
                raise InvalidInputError(
                    f"{path} has no network configuration (*.conflist, *.conf, *.json); "
                    "`podwire cni install` writes one"
                )
            path = first
        try:
            with open(path, "rb") as file:
                raw = json.load(file)
        except OSError as error:
            raise InvalidInputError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"{path} is no JSON: {error}") from error
        return cls.parse(raw, path)

    @classmethod
    def parse(cls, raw: object, source: str) -> NetworkList:
        """A list, or one plugin's configuration as a list of one. Raises InvalidInputError."""
        if not isinstance(raw, dict):
            raise InvalidInputError(f"{source}: {raw!r} is no JSON object")
        plugins = raw.get("plugins") if "plugins" in raw else [raw]
        if not isinstance(plugins, list) or not plugins:
            raise InvalidInputError(f"{source}: plugins is {plugins!r}; it must be a list of some")
        for at, one in enumerate(plugins):
            kind = one.get("type") if isinstance(one, dict) else None
            if not isinstance(kind, str) or not kind or "/" in kind or not kind.isprintable():
                raise InvalidInputError(
                    f"{source}: plugins[{at}].type is {kind!r}; it must be a plugin's file name"
                )
        name = raw.get("name")
        if not isinstance(name, str) or not name or "/" in name or name in (".", ".."):
            raise InvalidInputError(f"{source}: name is {name!r}; it must be the network's name")
        return cls(
            name,
            _agreed(raw, source),
            tuple(plugins),
            _flag(raw, "disableCheck", source),
            _flag(raw, "disableGC", source),
            source,
        )

    def at_least(self, version: str) -> bool:
        return SUPPORTED.index(self.version) >= SUPPORTED.index(version)

    def require(self, verb: str, version: str) -> None:
        """Raises CniError 1 when the list's version has no such verb."""
        if not self.at_least(version):
            alone = "" if verb == "GC" else ", or ask one plugin alone by --plugin"
            raise CniError(
                INCOMPATIBLE_VERSION,
                f"{self.source}: cniVersion is {self.version}, which has no {verb}; set it to "
                f"{version} or later{alone}",
            )

    def configuration(
        self, plugin: Mapping[str, Any], capabilities: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What the plugin gets on stdin: its object with the list's name and version, and of the
        runtime's arguments those that it said it is capable of."""
        config = {key: value for key, value in plugin.items() if key != "capabilities"}
        config |= {"cniVersion": self.version, "name": self.name}
        able = plugin.get("capabilities") or {}
        given = {key: value for key, value in capabilities.items() if able.get(key) is True}
        if given:
            config["runtimeConfig"] = {**(config.get("runtimeConfig") or {}), **given}
        return config


def first_file(directory: str) -> str | None:
    """The file that runtimes take: of those with a configuration's name, the first."""
    names = sorted(one for one in os.listdir(directory) if one.endswith(_SUFFIXES))
    return os.path.join(directory, names[0]) if names else None


def _agreed(raw: Mapping[str, Any], source: str) -> str:
    """The newest version that both the list and this runtime know."""
    named, more = raw.get("cniVersion"), raw.get("cniVersions") or []
    if not isinstance(more, list):
        raise InvalidInputError(f"{source}: cniVersions is {more!r}; it must be a list")
    offered = [*([named] if named else []), *more] or [DEFAULT_VERSION]
    for version in reversed(SUPPORTED):
        if version in offered:
            return version
    raise InvalidInputError(
        f"{source}: cniVersion is {', '.join(str(one) for one in offered)}; "
        f"known are {', '.join(SUPPORTED)}"
    )


def _flag(raw: Mapping[str, Any], key: str, source: str) -> bool:
    """libcni takes the words too."""
    value = raw.get(key) or False
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise InvalidInputError(f"{source}: {key} is {value!r}; it must be true or false")
    return value

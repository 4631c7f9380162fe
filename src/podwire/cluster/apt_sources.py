"""The machine's own apt sources as values, and sources of other suites derived from them.

Both formats are read: one-line (`*.list`) and deb822 (`*.sources`). Whatever mirror the machine
uses is used; no host name is known here. Source: sources.list(5), os-release(5).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

_ONE_LINE = re.compile(r"(?P<kind>deb|deb-src)\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<rest>\S.*)")
_FIELDS = {"arch": "Architectures", "lang": "Languages", "target": "Targets"}
_OWN = ("types", "uris", "suites", "components", "enabled")
_ROLLING = ("stable", "oldstable", "oldoldstable", "testing", "unstable", "sid")


@dataclass(frozen=True, slots=True)
class Source:
    """One stanza. options: deb822 fields besides its own, as in {"Signed-By": "/usr/share/..."}."""

    kinds: tuple[str, ...]
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)

    def stanza(self) -> str:
        """The source in deb822 format."""
        own = {
            "Types": " ".join(self.kinds),
            "URIs": " ".join(self.uris),
            "Suites": " ".join(self.suites),
            "Components": " ".join(self.components),
        }
        return "".join(f"{name}: {value}\n" for name, value in {**own, **self.options}.items())


def parse_one_line(text: str) -> list[Source]:
    """The sources of a `*.list` file; comments and lines that apt would refuse are left out."""
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    found = (_from_line(line) for line in lines if line)
    return [source for source in found if source]


def _from_line(line: str) -> Source | None:
    match = _ONE_LINE.fullmatch(line)
    words = match["rest"].split() if match else []
    if match is None or len(words) < 2:
        return None
    pairs = (word.split("=", 1) for word in shlex.split(match["options"] or "") if "=" in word)
    options = {_FIELDS.get(key.lower(), key.title()): value for key, value in pairs}
    spaced = {key: value.replace(",", " ") for key, value in options.items()}
    return Source((match["kind"],), (words[0],), (words[1],), tuple(words[2:]), spaced)


def parse_deb822(text: str) -> list[Source]:
    """The enabled sources of a `*.sources` file."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    stanzas = re.split(r"\n[ \t]*\n", "\n".join(lines))
    found = (_from_fields(_fields(stanza)) for stanza in stanzas)
    return [source for source in found if source]


def _fields(stanza: str) -> dict[str, str]:
    """Names keep their case, values their continuation lines (an embedded key)."""
    found: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line[:1] in (" ", "\t") and name:
            found[name] += "\n" + line
        elif ":" in line:
            name, value = (part.strip() for part in line.split(":", 1))
            found[name] = value
    return found


def _from_fields(fields: Mapping[str, str]) -> Source | None:
    own = {name.lower(): tuple(value.split()) for name, value in fields.items()}
    disabled = own.get("enabled", ("yes",)) not in (("yes",), ("true",), ("1",), ("on",))
    if disabled or not own.get("uris") or not own.get("suites"):
        return None
    options = {name: value for name, value in fields.items() if name.lower() not in _OWN}
    return Source(
        own.get("types", ("deb",)), own["uris"], own["suites"], own.get("components", ()), options
    )


def machine_sources(etc_apt: Path = Path("/etc/apt")) -> list[Source]:
    """All sources that apt on this machine reads."""
    parts = sorted((etc_apt / "sources.list.d").glob("*"))
    found: list[Source] = []
    for path in [etc_apt / "sources.list", *parts]:
        if path.suffix in (".list", ".sources") and path.is_file():
            parse = parse_one_line if path.suffix == ".list" else parse_deb822
            found += parse(path.read_text(errors="replace"))
    return found


def codename(os_release: Path = Path("/etc/os-release")) -> str:
    """The release of this machine as in `bookworm`, "" when it does not say."""
    text = os_release.read_text(errors="replace") if os_release.is_file() else ""
    match = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', text, re.MULTILINE)
    return match[1] if match else ""


def for_suite(sources: Iterable[Source], own: str, suite: str, kind: str) -> list[Source]:
    """The same mirrors, asked for `suite` and `kind` (deb or deb-src).

    own: this machine's codename. A distribution's main archive is what serves the machine's own
    suite with a component main; third parties mostly are other, and a mirror that turns out not to
    have the suite does no harm: apt uses the others.
    """
    found: dict[str, Source] = {}
    for source in sources:
        archive = any(name in (own, *_ROLLING) for name in source.suites)
        if archive and "main" in source.components:
            wanted = replace(source, kinds=(kind,), suites=(suite,), components=("main",))
            found.setdefault(wanted.stanza(), wanted)
    return list(found.values())

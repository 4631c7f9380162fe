"""Packages unpacked by the real apt and dpkg-deb, from an archive that the test makes."""

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from podwire.cluster import apt, apt_sources
from podwire.cluster.apt import Apt, Archive, parse_depends, parse_uris, reach
from podwire.cluster.cache import MANIFEST
from podwire.cluster.packages import INSTALLABLE, ensure_installed, unpack
from podwire.model.errors import InvalidInputError, UnavailableError

SUITE = "oldsuite"


class Repository:
    """A Debian archive in a directory: dists/SUITE/main, its packages added one by one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.architecture = subprocess.check_output(
            ["dpkg", "--print-architecture"], text=True
        ).strip()
        self.index = root / "dists" / SUITE / "main" / f"binary-{self.architecture}" / "Packages"
        self.index.parent.mkdir(parents=True)
        self.index.touch()

    def add(
        self, name: str, version: str, files: dict[str, str], fields: Sequence[str] = ()
    ) -> None:
        """files: path -> content; fields: more control fields, as in "Depends: b"."""
        tree = self.root / "trees" / f"{name}-{version}"
        for path, content in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(content)
            (tree / path).chmod(0o755 if "bin/" in path else 0o644)
        control = [f"Package: {name}", f"Version: {version}", "Architecture: all", *fields]
        control += ["Maintainer: Nobody <nobody@example.com>", "Description: a test"]
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text("\n".join(control) + "\n")
        deb = self.root / f"{name}_{version.split(':')[-1]}_all.deb"
        command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(deb)]
        subprocess.run(command, check=True, capture_output=True)
        control += [f"Filename: {deb.name}", f"Size: {deb.stat().st_size}"]
        control += [f"SHA256: {hashlib.sha256(deb.read_bytes()).hexdigest()}"]
        with self.index.open("a") as index:
            index.write("\n".join(control) + "\n\n")

    def source(self) -> str:
        return (
            f"Types: deb\nURIs: file:{self.root}\nSuites: bookworm {SUITE}\nComponents: main\n"
            "Trusted: yes\n"
        )


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """The machine's only source is an archive that has `tool` 1.0 with `libtool` and `helper`."""
    found = Repository(tmp_path / "archive")
    usr = {"usr/bin/tool": "#!/bin/sh\necho tool\n", "usr/share/doc/tool/x": "doc"}
    found.add("tool", "1.0", usr, ["Depends: libtool, absent | helper, core"])
    found.add("libtool", "1:2.0", {"lib/libtool.so.2": "library", "sbin/ldtool": "#!/bin/sh\n"})
    found.add("helper", "3", {"bin/helper": "#!/bin/sh\n"})
    found.add("core", "4", {"bin/core": "#!/bin/sh\n"}, ["Essential: yes"])
    sources = apt_sources.parse_deb822(found.source())
    monkeypatch.setattr(apt_sources, "machine_sources", lambda: sources)
    monkeypatch.setattr(apt_sources, "codename", lambda: "bookworm")
    return found


def contents(tree: Path) -> list[str]:
    facts = json.loads((tree / MANIFEST).read_text())["facts"]
    return sorted(facts["contents"])


def test_packages_of_another_suite_are_unpacked_into_one_tree(
    archive: Repository, tmp_path: Path
) -> None:
    tree = unpack(["tool", "libtool"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c")
    assert tree == tmp_path / "t"
    assert subprocess.check_output([tree / "bin" / "tool"], text=True) == "tool\n"
    assert contents(tree) == ["libtool=1:2.0", "tool=1.0"]


def test_a_merged_usr_holds_what_comes_by_either_name(archive: Repository, tmp_path: Path) -> None:
    tree = unpack(["libtool", "helper"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c")
    assert os.readlink(tree / "lib") == "usr/lib"
    assert (tree / "usr" / "lib" / "libtool.so.2").read_text() == "library"
    assert (tree / "usr" / "sbin" / "ldtool").exists()
    assert (tree / "bin" / "helper").resolve() == tree / "usr" / "bin" / "helper"


def test_a_whole_tree_is_not_made_again(
    archive: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = unpack(["tool"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c")
    born = tree.stat().st_ino
    monkeypatch.setenv("PATH", "/nowhere")
    assert unpack(["tool"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c") == tree
    assert tree.stat().st_ino == born


@pytest.mark.parametrize("spoil", ["altered", "deleted", "unsealed"])
def test_a_spoilt_tree_is_made_again_from_the_cached_packages(
    archive: Repository, tmp_path: Path, spoil: str
) -> None:
    tree = unpack(["tool"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c")
    tool = tree / "usr" / "bin" / "tool"
    if spoil == "altered":
        tool.write_text("#!/bin/sh\necho lies\n")
    elif spoil == "deleted":
        tool.unlink()
    else:
        (tree / MANIFEST).unlink()
        tool.unlink()
    unpack(["tool"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c")
    assert tool.read_text() == "#!/bin/sh\necho tool\n"


def test_another_wish_makes_another_tree(archive: Repository, tmp_path: Path) -> None:
    tree = unpack(["tool"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c")
    unpack(["helper"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c")
    assert contents(tree) == ["helper=3"]
    assert not (tree / "usr" / "bin" / "tool").exists()


def test_a_cached_package_that_was_spoilt_is_fetched_again(
    archive: Repository, tmp_path: Path
) -> None:
    unpack(["tool"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c")
    (deb,) = (tmp_path / "c" / "debs").glob("*.deb")
    whole = deb.read_bytes()
    deb.write_bytes(b"\0" * len(whole))
    (tmp_path / "t" / MANIFEST).unlink()
    unpack(["tool"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c")
    assert deb.read_bytes() == whole


def test_stale_lists_are_read_again(archive: Repository, tmp_path: Path) -> None:
    unpack(["tool"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c")
    archive.add("newer", "5", {"usr/bin/newer": "#!/bin/sh\n"})
    tree = unpack(["newer"], tmp_path / "n", suite=SUITE, cache=tmp_path / "c")
    assert contents(tree) == ["newer=5"]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, ["core=4", "helper=3", "libtool=1:2.0", "tool=1.0"]),
        ({"essential": False}, ["helper=3", "libtool=1:2.0", "tool=1.0"]),
        ({"leave_out": ["helper"]}, ["core=4", "libtool=1:2.0", "tool=1.0"]),
    ],
)
def test_dependencies(
    archive: Repository, tmp_path: Path, wish: dict[str, object], expected: list[str]
) -> None:
    tree = unpack(
        ["tool"],
        tmp_path / "t",
        suite=SUITE,
        cache=tmp_path / "c",
        with_dependencies=True,
        **wish,  # type: ignore[arg-type]
    )
    assert contents(tree) == expected


def test_an_unknown_package_is_unavailable_and_leaves_nothing(
    archive: Repository, tmp_path: Path
) -> None:
    with pytest.raises(UnavailableError, match=r"apt cannot get nothing-such: .*Unable to locate"):
        unpack(["nothing-such"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c")
    assert not (tmp_path / "t").exists()


def test_an_archive_that_lies_about_a_package_is_refused(
    archive: Repository, tmp_path: Path
) -> None:
    deb = archive.root / "tool_1.0_all.deb"
    deb.write_bytes(deb.read_bytes()[:-1] + b"!")
    with pytest.raises(UnavailableError, match=r"cannot get tool"):
        unpack(["tool"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c")
    assert not (tmp_path / "t").exists()


def test_a_machine_without_a_debian_archive_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt_sources, "machine_sources", list)
    with pytest.raises(UnavailableError, match="no apt source of this machine is a Debian archive"):
        unpack(["tool"], tmp_path / "t", suite=SUITE, cache=tmp_path / "c")


def test_nothing_is_unpacked_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnavailableError, match="no apt on this machine"):
        unpack(["tool"], tmp_path / "t", cache=tmp_path / "c")


def test_the_machines_own_apt_keeps_its_sources_but_not_its_status(tmp_path: Path) -> None:
    tool = apt.machine(tmp_path)
    assert tool == Apt(tool.options, None)
    assert not any("sourcelist" in option for option in tool.options)
    assert f"Dir::State::status={tmp_path}/apt/no-packages" in tool.options


# ensure_installed


def test_commands_that_are_there_need_no_package(tmp_path: Path) -> None:
    (tmp_path / "brctl").write_text("#!/bin/sh\n")
    (tmp_path / "brctl").chmod(0o755)
    header = str(tmp_path / "brctl")
    wish = {"brctl": "bridge-utils", header: "libc6-dev"}
    assert ensure_installed(wish, path=str(tmp_path)) == ()


def test_a_file_that_is_not_there_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnavailableError, match=r"missing: /nowhere/stdio\.h\..* libc6-dev"):
        ensure_installed({"/nowhere/stdio.h": "libc6-dev"})


@pytest.mark.parametrize("daemon", ["etcd-server", "containerd", "docker-registry", "nginx-light"])
def test_a_daemon_is_never_installed(daemon: str) -> None:
    assert daemon not in INSTALLABLE
    with pytest.raises(InvalidInputError, match=daemon):
        ensure_installed({"sh": daemon})


def test_without_apt_the_packages_are_named_with_the_way_to_install_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    wish = {"brctl": "bridge-utils", "route": "net-tools", "arp": "net-tools"}
    with pytest.raises(UnavailableError) as caught:
        ensure_installed(wish, path="/nowhere")
    assert "missing: brctl, route, arp." in str(caught.value)
    assert "--no-install-recommends bridge-utils net-tools" in str(caught.value)


# what apt prints


def test_uris_are_read() -> None:
    line = (
        "'http://m.test/pool/main/libc/libcap2/libcap2_2.66-4_amd64.deb' "
        "libcap2_1%3a2.66-4_amd64.deb 27708 SHA256:8d98f0"
    )
    (found,) = parse_uris(f"Reading package lists...\n{line}\n")
    assert found == Archive("libcap2_1%3a2.66-4_amd64.deb", 27708, "sha256", "8d98f0")
    assert found.version == "libcap2=1:2.66-4"


DEPENDS = """\
nginx
  PreDepends: init
 |Depends: debconf
  Depends: <debconf-2.0>
    cdebconf
    debconf
  Depends: <nginx-abi>
    nginx
init
  Depends: libc6
debconf
cdebconf
  Depends: libslang
libc6
libslang
"""


def test_dependencies_are_read() -> None:
    assert parse_depends(DEPENDS)["nginx"] == [
        ["init"],
        ["debconf", "<debconf-2.0>", "cdebconf", "debconf"],
        ["<nginx-abi>", "nginx"],
    ]


def test_of_alternatives_the_first_is_taken() -> None:
    graph = parse_depends(DEPENDS)
    assert reach(graph, ["nginx"]) == ["debconf", "init", "libc6", "nginx"]
    assert reach(graph, ["nginx"], ["init"]) == ["debconf", "nginx"]
    assert reach(graph, ["nginx", "cdebconf"]) == ["cdebconf", "init", "libc6", "libslang", "nginx"]

"""Choosing files from a tree: links, folders, ELF closures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from podwire.cluster.images.rootfs import RootFs, library_folders, read_elf
from podwire.model.errors import UnavailableError

LIBRARIES = "usr/lib/x86_64-linux-gnu"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a program that needs a library that needs a third, which is found by RUNPATH."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (tmp_path / "usr" / name).mkdir(parents=True)
        (tmp_path / name).symlink_to(f"usr/{name}")
    (tmp_path / LIBRARIES / "deep").mkdir(parents=True)
    compile_c(tmp_path, "deep/libdeep.so.1", "int deep(void) { return 7; }", "-shared")
    compile_c(
        tmp_path,
        "libnear.so.1.2",
        "int deep(void); int near_(void) { return deep(); }",
        "-shared",
        "-Wl,-soname,libnear.so.1",
        "-Wl,-rpath,$ORIGIN/deep",
        str(tmp_path / LIBRARIES / "deep/libdeep.so.1"),
    )
    (tmp_path / LIBRARIES / "libnear.so.1").symlink_to("libnear.so.1.2")
    (tmp_path / LIBRARIES / "loader.so").write_bytes(b"the loader")
    (tmp_path / "lib64/loader.so").symlink_to(f"/lib/{LIBRARIES.split('/')[2]}/loader.so")
    compile_c(
        tmp_path,
        "../../bin/program",
        "int near_(void); void _start(void) { near_(); }",
        "-Wl,-dynamic-linker,/lib64/loader.so",
        "-Wl,--allow-shlib-undefined",
        str(tmp_path / LIBRARIES / "libnear.so.1"),
    )
    return tmp_path


def compile_c(tree: Path, name: str, code: str, *flags: str) -> None:
    target = tree / LIBRARIES / name
    soname = f"-Wl,-soname,{target.name}"
    own = () if "-shared" not in flags or any("soname" in flag for flag in flags) else (soname,)
    argv = ["gcc", "-nostdlib", "-fno-builtin", "-fPIC", "-x", "c", "-", "-x", "none", *own, *flags]
    subprocess.run([*argv, "-o", str(target)], input=code, text=True, check=True)


def paths(root: RootFs) -> set[str]:
    return {one.path for one in root if one.content is not None or one.target is not None}


def test_a_program_brings_all_that_it_needs(tree: Path) -> None:
    root = RootFs()
    root.take(tree, "bin/program")
    assert paths(root) == {
        *("bin", "sbin", "lib", "lib64"),
        "usr/bin/program",
        "usr/lib64/loader.so",
        f"{LIBRARIES}/loader.so",
        f"{LIBRARIES}/libnear.so.1",
        f"{LIBRARIES}/libnear.so.1.2",
        f"{LIBRARIES}/deep/libdeep.so.1",
    }


def test_a_missing_library_is_named_with_who_needs_it(tree: Path) -> None:
    (tree / LIBRARIES / "deep/libdeep.so.1").unlink()
    with pytest.raises(UnavailableError, match=r"libnear\.so\.1\.2 needs libdeep\.so\.1"):
        RootFs().take(tree, "bin/program")


def test_a_missing_path_is_named(tree: Path) -> None:
    with pytest.raises(UnavailableError, match="usr/bin/absent is not in the packages"):
        RootFs().take(tree, "/bin/absent")


def test_a_folder_is_taken_whole_and_dropped_whole(tree: Path) -> None:
    (tree / "etc/app/sub").mkdir(parents=True)
    (tree / "etc/app/sub/file").write_text("x")
    (tree / "etc/application").write_text("y")
    root = RootFs()
    root.take(tree, "etc/app", "etc/application")
    assert {"etc/app/sub/file", "etc/application"} <= paths(root)
    root.drop("etc/app")
    assert "etc/app/sub" not in root
    assert "etc/application" in root


def test_modes_are_normal_whatever_the_tree_has(tree: Path) -> None:
    for name, mode in (("plain", 0o600), ("run", 0o4711)):
        (tree / "usr/bin" / name).write_text("x")
        (tree / "usr/bin" / name).chmod(mode)
    root = RootFs()
    root.take(tree, "bin/plain", "bin/run")
    modes = {one.path: one.mode for one in root}
    assert (modes["usr/bin/plain"], modes["usr/bin/run"]) == (0o644, 0o755)


def test_entries_come_parents_first_in_a_fixed_order() -> None:
    root = RootFs()
    root.file("a/b/c", b"")
    root.file("a-b", b"")
    order = [one.path for one in root]
    assert order == [*sorted(order, key=lambda path: path.split("/"))]
    assert order.index("a") < order.index("a/b") < order.index("a/b/c")


def test_a_script_is_no_elf_file(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    assert read_elf(tmp_path / "script") is None


def test_this_python_is_read_as_the_loader_reads_it() -> None:
    elf = read_elf(Path(sys.executable).resolve())
    assert elf is not None
    assert any(name.startswith("libc.so") for name in elf.needed)
    assert elf.interpreter.startswith("/lib")


def test_the_multiarch_folder_is_searched_first(tree: Path) -> None:
    assert library_folders(tree) == [LIBRARIES, "usr/lib", "usr/lib64"]

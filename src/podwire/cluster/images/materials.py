"""What recipes are made from: packages unpacked, our C compiled, Python's modules chosen.

Must not know what becomes of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from podwire.cluster.cache import inspect
from podwire.cluster.commands import run
from podwire.cluster.images.recipes import FILES, PACKAGES, Materials
from podwire.cluster.packages import ensure_installed, unpack
from podwire.model.errors import UnavailableError
from podwire.model.progress import Progress

_PROGRAMS = {
    "clusterdns": ("clusterdns.server",),
    "ipmasqagent": ("ipmasqagent.agent", "hashlib", "http.client", "json", "ssl"),
}
"""Package of ours that runs in an image -> what it imports, also late."""
SOURCES = tuple(Path(__file__).parent.with_name(name) for name in _PROGRAMS)
_COMPILER_FLAGS = (
    "-Os", "-nostdlib", "-ffreestanding", "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables", "-Wl,--build-id=none", "-s",
)  # fmt: skip
_CHOOSE = FILES / "choose_modules.py"


def gather(tree: Path, cache: Path, progress: Progress) -> Materials:
    """Everything, with `tree` as the place for the packages.

    Raises UnavailableError when packages are not to be had, ProcessError when a tool fails.
    """
    unpack(PACKAGES, tree, progress, with_dependencies=True, essential=False, cache=cache)
    progress("compiling", None)
    python = _interpreter(tree)
    ensure_installed({"gcc": "gcc"}, progress)
    pause = compile_pause(tree / "pause")
    _empty_icu_data(tree)
    chosen = {name: choose_modules(tree, python, name) for name in _PROGRAMS}
    return Materials(tree, pause, python, chosen, _nginx_version(tree))


def contents(tree: Path) -> tuple[str, ...]:
    """`name=version` of every package in the tree."""
    found = inspect(tree)
    return tuple(found.facts["contents"]) if found else ()


def compile_pause(target: Path) -> Path:
    return _compile(FILES / "pause.c", target, "-static")


def _compile(source: Path, target: Path, *flags: str) -> Path:
    """Freestanding: needs a compiler but no libc of its own, and is the same each time."""
    run(["gcc", *_COMPILER_FLAGS, *flags, "-o", str(target), str(source)])
    return target


def _empty_icu_data(tree: Path) -> None:
    """Replace ICU's data, 31 MB, by none, as ICU's own builds may.

    Only dig brings ICU, through libxml2, which would use it for rare encodings.
    """
    for path in tree.glob("usr/lib/*/libicudata.so.*"):
        if not path.is_symlink():
            major = path.name.split(".so.")[1].split(".")[0]
            name = f"-Wl,-soname,libicudata.so.{major}"
            _compile(FILES / "icudata.c", path, "-shared", name, f"-DICU={major}")


def _interpreter(tree: Path) -> str:
    names = [path.name for path in (tree / "usr/bin").glob("python3.*")]
    found = sorted(name for name in names if re.fullmatch(r"python3\.\d+", name))
    if not found:
        raise UnavailableError(f"no Python interpreter among the packages in {tree}")
    return found[-1]


def _nginx_version(tree: Path) -> str:
    """The upstream version, as in 1.22.1, of nginx=1.22.1-9+deb12u1 or nginx-light=..."""
    return upstream_version(contents(tree), "nginx-light")


def upstream_version(packages: Sequence[str], name: str) -> str:
    version = next(one.split("=", 1)[1] for one in packages if one.startswith(f"{name}="))
    return version.split(":", 1)[-1].rsplit("-", 1)[0]


def choose_modules(tree: Path, python: str, program: str) -> dict[str, Path]:
    """One of our programs and what it imports, compiled; by path in the image.

    The tree's own interpreter does it, in a chroot: it knows best what it imports, and its byte
    code is of the right version.
    """
    package = tree / "usr/lib" / python / program
    package.mkdir(exist_ok=True)
    for source in Path(__file__).parent.with_name(program).glob("*.py"):
        (package / source.name).write_bytes(source.read_bytes())
    answer = run(
        [
            "/usr/sbin/chroot",
            str(tree),
            f"/usr/bin/{python}",
            "-I",
            "-S",
            "-B",
            "-c",
            _CHOOSE.read_text(),
            program,
            *_PROGRAMS[program],
        ],
        env={"PYTHONHASHSEED": "0"},
    )
    return {path: tree / place for path, place in json.loads(answer).items()}

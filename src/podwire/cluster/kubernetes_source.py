"""Kubernetes built from Debian's source package, for machines that cannot download a release.

Debian 12 is the last that has the source of a whole Kubernetes (1.20.2 with vendor/); Go 1.15 of
Debian 11 is what that release was made with. Nothing is installed: both are unpacked below the
workshop, a directory that is deleted after success. A build that is interrupted goes on from the
stamps, the Go build cache and the finished programs that it left there.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from podwire.cluster import apt
from podwire.cluster.apt import Archive
from podwire.cluster.commands import follow, run
from podwire.cluster.packages import unpack
from podwire.model.errors import UnavailableError
from podwire.model.progress import Progress, portion

SOURCE_SUITE: Final = "bookworm"
GO: Final = ("bullseye", "1.15")
GO_WHEN_GONE: Final = ("bookworm", "1.19")
DISK_NEEDED: Final = 4 << 30
MEMORY_NEEDED: Final = 2 << 30
_MEMORY_PER_LINK: Final = 3 << 29
_PACKAGES: Final = 2350
"""What `go build -v` names while it builds all six."""
_OPENAPI: Final = "pkg/generated/openapi"
_VIOLATIONS: Final = "api/api-rules/violation_exceptions.list"
_REFLECT2: Final = "github.com/modern-go/reflect2"
_ORIGIN: Final = "k8s.io/kubernetes"


@dataclass(frozen=True, slots=True)
class SourcePackage:
    """Debian's source. version: Kubernetes', as in v1.20.2; debian: Debian's own."""

    version: str
    debian: str
    archives: tuple[Archive, ...]


@dataclass(frozen=True, slots=True)
class Workshop:
    """The directories of one build."""

    root: Path
    go: Path
    """GOROOT"""

    @property
    def tree(self) -> Path:
        """Must be a real directory at this place below GOPATH: the tree is older than modules."""
        return self.root / "path" / "src" / _ORIGIN

    @property
    def out(self) -> Path:
        return self.root / "out"

    def env(self) -> dict[str, str]:
        """GOTMPDIR beside the output, so that a finished program arrives there by a rename."""
        return {
            "GOROOT": str(self.go),
            "GOPATH": str(self.root / "path"),
            "GOCACHE": str(self.root / "gocache"),
            "GOTMPDIR": str(self.root / "tmp"),
            "GO111MODULE": "off",
            "GOFLAGS": "",
            "GOPROXY": "off",
            "GOSUMDB": "off",
            "GOENV": "off",
            "GOOS": "",
            "GOARCH": "",
            "CGO_ENABLED": "0",
            "PATH": f"{self.go}/bin:{os.environ.get('PATH', '/usr/bin:/bin')}",
        }


def source_package(cache: Path, progress: Progress) -> SourcePackage:
    """What apt has. Raises UnavailableError when it has no source of a whole Kubernetes."""
    found = apt.private(cache, SOURCE_SUITE, "deb-src").source_archives("kubernetes", progress)
    names = [re.fullmatch(r"kubernetes_(.+)\.dsc", one.file) for one in found]
    debian = next((match[1] for match in names if match), "")
    return SourcePackage(upstream_version(debian), debian, tuple(found))


def upstream_version(debian: str) -> str:
    """v1.20.2 of 1.20.5+really1.20.2-1.1+deb12u1 or 1.20.2+dfsg-1. Raises UnavailableError."""
    match = re.search(r"(?:^|\+really)(\d+\.\d+\.\d+)(?!.*\+really)", debian)
    if match is None:
        raise UnavailableError(
            f"Debian's source package kubernetes has no known version: {debian!r}"
        )
    return f"v{match[1]}"


def build(
    source: SourcePackage,
    names: Sequence[str],
    root: Path,
    cache: Path,
    progress: Progress,
) -> tuple[Path, str]:
    """Build `names` below `root`; returns the directory that holds them and the Go that made them.

    Raises UnavailableError for too little memory or disk, or when a package cannot be had;
    ProcessError with the compiler's last words.
    """
    check_room(root)
    shutil.rmtree(root / "tmp", ignore_errors=True)
    (root / "tmp").mkdir(parents=True, exist_ok=True)
    shop = Workshop(root, toolchain(root, cache, portion(progress, 0.0, 0.03)))
    version = _go_version(shop)
    _once(
        shop, "source", lambda: _unpack_source(shop, source, cache, portion(progress, 0.03, 0.08))
    )
    if _minor(version) >= 18:
        _once(shop, "reflect2", lambda: fix_reflect2(shop, cache, progress))
    _once(shop, "openapi", lambda: _generate_openapi(shop, portion(progress, 0.08, 0.12)))
    _compile(shop, names, source.version, portion(progress, 0.12, 1.0))
    return shop.out, version


def check_room(root: Path) -> None:
    """Raises UnavailableError when the machine is too small for the build."""
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if free < DISK_NEEDED and not (root / "gocache").exists():
        raise UnavailableError(
            f"building Kubernetes needs {DISK_NEEDED >> 30} GiB of disk, {root} has "
            f"{free / (1 << 30):.1f}; free some, or give a directory with the programs"
        )
    if (memory := available_memory()) < MEMORY_NEEDED:
        raise UnavailableError(
            f"building Kubernetes needs {MEMORY_NEEDED >> 30} GiB of memory, this machine has "
            f"{memory / (1 << 30):.1f} available; give a directory with the programs"
        )


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that programs may take without swapping (MemAvailable)."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
    return int(match[1]) << 10 if match else MEMORY_NEEDED


def toolchain(root: Path, cache: Path, progress: Progress) -> Path:
    """GOROOT of the Go to build with: 1.15 as long as a mirror has it."""
    for last, (suite, version) in ((False, GO), (True, GO_WHEN_GONE)):
        names = (f"golang-{version}-go", f"golang-{version}-src")
        try:
            tree = unpack(names, root / f"go-{version}", progress, suite=suite, cache=cache)
        except UnavailableError:
            if last:
                raise
            continue
        return tree / "usr" / "lib" / f"go-{version}"
    raise AssertionError("unreachable")


def _go_version(shop: Workshop) -> str:
    """go1.15.15, of `go version go1.15.15 linux/amd64`."""
    return run([f"{shop.go}/bin/go", "version"], env=shop.env()).split()[2]


def _minor(version: str) -> int:
    match = re.match(r"go1\.(\d+)", version)
    return int(match[1]) if match else 99


def _once(shop: Workshop, name: str, stage: Callable[[], None]) -> None:
    """Run a stage unless its stamp says that it was done to this tree."""
    stamp = shop.root / f"{name}.done"
    if not stamp.exists():
        stage()
        stamp.touch()


def _unpack_source(shop: Workshop, source: SourcePackage, cache: Path, progress: Progress) -> None:
    """Debian's source format 3.0 (quilt): the upstream tar, debian/ beside it, its patches applied.

    Done by hand, since dpkg-source would need a compiler's worth of packages installed.
    """
    debs = cache / "debs"
    tool = apt.private(cache, SOURCE_SUITE, "deb-src")
    tool.source("kubernetes", debs, portion(progress, 0.0, 0.3))
    patch = unpack(["patch"], shop.root / "patch", progress, cache=cache) / "usr" / "bin" / "patch"
    progress(f"unpacking the source of Kubernetes {source.version}", 0.4)
    shutil.rmtree(shop.tree, ignore_errors=True)
    shop.tree.mkdir(parents=True)
    upstream = debs / _named(source, r".*\.orig\.tar\.\w+")
    run(["tar", "-xf", str(upstream), "--strip-components=1", "--no-same-owner"], cwd=shop.tree)
    with tarfile.open(debs / _named(source, r".*\.debian\.tar\.\w+")) as packaging:
        for name in patch_series(packaging, shop.root):
            run([str(patch), "-p1", "--no-backup-if-mismatch", "-i", name], cwd=shop.tree)


def patch_series(packaging: tarfile.TarFile, directory: Path) -> list[str]:
    """Write Debian's patches into `directory`; returns their paths in the order of the series."""
    written = []
    for line in _member(packaging, "series").decode().splitlines():
        if words := line.split("#", 1)[0].split():
            path = directory / Path(words[0]).name
            path.write_bytes(_member(packaging, words[0]))
            written.append(str(path))
    return written


def _member(packaging: tarfile.TarFile, name: str) -> bytes:
    file = packaging.extractfile(f"debian/patches/{name}")
    return file.read() if file else b""


def _named(source: SourcePackage, pattern: str) -> str:
    for archive in source.archives:
        if re.fullmatch(pattern, archive.file):
            return archive.file
    raise UnavailableError(f"Debian's source package kubernetes {source.debian} has no {pattern}")


def fix_reflect2(shop: Workshop, cache: Path, progress: Progress) -> None:
    """Replace reflect2 1.0.1, which corrupts memory when built with Go 1.18 or newer, by 1.0.2.

    It links reflect.mapiterinit with two arguments where that Go takes three.
    """
    name = "golang-github-modern-go-reflect2-dev"
    new = unpack([name], shop.root / "reflect2", progress, suite=GO_WHEN_GONE[0], cache=cache)
    vendored = shop.tree / "vendor" / _REFLECT2
    for old in [*vendored.glob("*.go"), *vendored.glob("*.s")]:
        old.unlink()
    fixed = new / "usr" / "share" / "gocode" / "src" / _REFLECT2
    for file in [*fixed.glob("*.go"), *fixed.glob("*.s")]:
        if not file.name.endswith("_test.go"):
            shutil.copy(file, vendored)


def _generate_openapi(shop: Workshop, progress: Progress) -> None:
    """Make the one generated file that the source lacks, as its Makefile.generated_files does.

    Upstream checks the generator's report of rule violations against a list; so does this, since it
    shows that the right packages were read.
    """
    progress("generating the OpenAPI definitions", 0.0)
    generator = shop.root / "openapi-gen"
    command = "./vendor/k8s.io/kube-openapi/cmd/openapi-gen"
    run(["go", "build", "-o", str(generator), command], cwd=shop.tree, env=shop.env())
    progress("generating the OpenAPI definitions", 0.5)
    report = shop.root / "violations"
    places = {
        "-h": "vendor/k8s.io/code-generator/hack/boilerplate.go.txt",
        "-i": ",".join(openapi_packages(shop.tree)),
        "-p": f"{_ORIGIN}/{_OPENAPI}",
        "-O": "zz_generated.openapi",
        "-r": str(report),
        "--output-base": str(shop.root / "path" / "src"),
    }
    flags = [text for item in places.items() for text in item]
    run([str(generator), *flags], cwd=shop.tree, env=shop.env())
    known = shop.tree / _VIOLATIONS
    if report.read_text() != known.read_text():
        raise UnavailableError(
            f"the OpenAPI generator's report {report} differs from {known}: the source package "
            "is not one that this build knows"
        )


def openapi_packages(tree: Path) -> list[str]:
    """Import paths of the packages that ask for OpenAPI definitions."""
    found = run(
        ["grep", "-rl", "--include=*.go", "+k8s:openapi-gen=", "pkg", "staging/src"], cwd=tree
    )
    folders = {str(Path(name).parent) for name in found.splitlines()}
    unwanted = ("staging/src/k8s.io/code-generator/", "staging/src/k8s.io/sample-")
    wanted = sorted(folder for folder in folders if not folder.startswith(unwanted))
    return [f"{_ORIGIN}/{re.sub('^staging/src/', 'vendor/', folder)}" for folder in wanted]


def _compile(shop: Workshop, names: Sequence[str], version: str, progress: Progress) -> None:
    """One `go build` for all that are missing: a third faster on two cores than one by one."""
    shop.out.mkdir(exist_ok=True)
    missing = [name for name in names if not (shop.out / name).exists()]
    if not missing:
        return
    step = f"building Kubernetes {version} (once; 3 minutes on 2 cores)"
    count = 0

    def on_line(_: str) -> None:
        nonlocal count
        count += 1
        progress(step, min(0.97, count / _PACKAGES))

    progress(step, 0.0)
    jobs = max(1, min(os.cpu_count() or 1, available_memory() // _MEMORY_PER_LINK))
    command = ["go", "build", "-v", "-trimpath", "-p", str(jobs)]
    target = ["-ldflags", ldflags(version, _built(shop)), "-o", f"{shop.out}/"]
    programs = [f"./cmd/{name}" for name in missing]
    follow([*command, *target, *programs], on_line, cwd=shop.tree, env=shop.env())


def _built(shop: Workshop) -> str:
    """The build date that the programs show: the source's own, so that it does not vary."""
    moment = datetime.fromtimestamp((shop.tree / "go.mod").stat().st_mtime, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def ldflags(version: str, date: str) -> str:
    """The version goes into two packages; in GOPATH mode their names begin with the tree's."""
    major, minor, *_ = version.removeprefix("v").split(".")
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "buildDate": date,
    }
    places = ("client-go/pkg/version", "component-base/version")
    words = [
        f"-X {_ORIGIN}/vendor/k8s.io/{place}.{key}={value}"
        for place in places
        for key, value in values.items()
    ]
    return " ".join(["-s", "-w", *words])

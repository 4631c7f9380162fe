"""Finished images on disk: the storage of a registry, and an archive of each.

The registry's storage is written directly, in the layout that the distribution project documents
(registry/storage/paths.go): no registry has to run to make it, and it is the same each time.
Must not know how images are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from podwire.cluster.images.oci import Blob, Packed, archive

_REGISTRY = "registry"
_ROOT = f"{_REGISTRY}/docker/registry/v2"


@dataclass(frozen=True, slots=True)
class Image:
    """names: full references, the first its own; archive: file name; size: bytes to be pulled."""

    short: str
    names: tuple[str, ...]
    digest: str
    size: int
    unpacked: int
    archive: str

    def facts(self) -> dict[str, Any]:
        return {**asdict(self), "names": list(self.names)}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Image:
        return cls(**{**facts, "names": tuple(facts["names"])})


@dataclass(frozen=True, slots=True)
class ImageSet:
    """All images of one build. packages: `name=version` of what they were made from."""

    directory: Path
    images: tuple[Image, ...]
    packages: tuple[str, ...]

    @property
    def storage(self) -> Path:
        """The root directory of the registry's filesystem storage; nobody writes to it."""
        return self.directory / _REGISTRY

    def image(self, short: str) -> Image:
        """By short name, as in "pause". Raises KeyError."""
        return next(one for one in self.images if one.short == short)


def import_archives(image_set: ImageSet) -> list[Path]:
    """OCI archives that `ctr -n k8s.io images import` takes, the pause image's first."""
    return [image_set.directory / image.archive for image in image_set.images]


def write_image(directory: Path, short: str, names: tuple[str, ...], packed: Packed) -> Image:
    """Add the image to the registry's storage in `directory` and write its archive."""
    blobs = (packed.manifest, *packed.blobs)
    for blob in blobs:
        _write(directory / blob_path(blob.digest), blob.data)
    for name in names:
        repository, tag = repository_of(name)
        for path, digest in _links(repository, tag, packed.manifest, packed.blobs):
            _write(directory / path, digest.encode())
    file = f"archives/{short}.tar"
    _write(directory / file, archive(packed, names))
    size = sum(len(blob.data) for blob in blobs)
    return Image(short, names, packed.manifest.digest, size, packed.unpacked, file)


def repository_of(name: str) -> tuple[str, str]:
    """What a registry is asked for: docker.io/library/nginx:latest -> library/nginx, latest."""
    path, tag = name.split("/", 1)[1].rsplit(":", 1)
    return path, tag


def blob_path(digest: str) -> str:
    algorithm, text = digest.split(":")
    return f"{_ROOT}/blobs/{algorithm}/{text[:2]}/{text}/data"


def _links(
    repository: str, tag: str, manifest: Blob, blobs: Iterable[Blob]
) -> Iterable[tuple[str, str]]:
    """The files, and the digest that each holds, by which a repository knows its blobs."""
    home = f"{_ROOT}/repositories/{repository}"
    digest = manifest.digest
    for blob in blobs:
        yield f"{home}/_layers/{blob.digest.replace(':', '/')}/link", blob.digest
    revision = digest.replace(":", "/")
    yield f"{home}/_manifests/revisions/{revision}/link", digest
    yield f"{home}/_manifests/tags/{tag}/current/link", digest
    yield f"{home}/_manifests/tags/{tag}/index/{revision}/link", digest


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)

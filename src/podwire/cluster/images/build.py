"""Making the images that are not made yet, once per machine; all labs share the result.

A set is named by a digest of everything here that decides what is in it. It is made again when that
changes, when it is damaged, and when apt has newer packages than it was made from.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from podwire.cluster import apt
from podwire.cluster.cache import MANIFEST, inspect, locked, replacing, seal
from podwire.cluster.images.materials import SOURCES, contents, gather
from podwire.cluster.images.oci import pack
from podwire.cluster.images.recipes import recipes
from podwire.cluster.images.store import Image, ImageSet, write_image
from podwire.model.errors import PodwireError, ProcessError, UnavailableError
from podwire.model.progress import Progress, silent

APT_LISTS = Path("/var/lib/apt/lists")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def build_images(cache: Path, progress: Progress = silent) -> ImageSet:
    """The images, made if need be below `cache`/images. Needs root (a chroot) to make them.

    Raises UnavailableError when they are not there and packages are not to be had, ProcessError
    when a tool fails.
    """
    target = cache / "images" / recipe_digest()
    found = _whole(target)
    if found and found[1] == _stamp():
        return found[0]
    with locked(target, "the images", progress):
        found = _whole(target)
        if found and (found[1] == _stamp() or _still_newest(found[0], cache, progress)):
            return found[0]
        try:
            _make(target, cache, progress)
        except PodwireError as error:
            if found is None:
                raise
            progress(f"keeping the images of older packages: {error}", None)
            return found[0]
    made = _whole(target)
    if made is None:
        raise ProcessError(f"the images in {target} are damaged right after they were made")
    return made[0]


def recipe_digest() -> str:
    """A name for what the code here makes: 16 hex digits."""
    summary = hashlib.sha256(platform.machine().encode())
    here = Path(__file__).parent
    programs = (path for folder in SOURCES for path in folder.glob("*.py"))
    sources = [*here.glob("*.py"), *here.glob("files/*.*"), *programs]
    for path in sorted(sources):
        summary.update(f"\0{path.parent.name}/{path.name}\0".encode() + path.read_bytes())
    return summary.hexdigest()[:16]


def _whole(directory: Path) -> tuple[ImageSet, int] | None:
    """The set in `directory` and the stamp of apt's lists then; None when missing or damaged."""
    found = inspect(directory)
    if found is None or found.damage:
        return None
    try:
        images = tuple(Image.of(one) for one in found.facts["images"])
        packages = tuple(found.facts["packages"])
        return ImageSet(directory, images, packages), int(found.facts["stamp"])
    except (KeyError, TypeError, ValueError):
        return None


def _stamp() -> int:
    """Changes when apt's package lists do; asking apt itself would take a third of a second."""
    return APT_LISTS.stat().st_mtime_ns if APT_LISTS.is_dir() else 0


def _still_newest(images: ImageSet, cache: Path, progress: Progress) -> bool:
    """Whether apt would give the same packages now; also when it cannot say."""
    names = [one.split("=", 1)[0] for one in images.packages]
    try:
        now = {one.version for one in apt.machine(cache).archives(names, progress)}
    except UnavailableError:
        now = set(images.packages)
    if now != set(images.packages):
        return False
    _seal(images.directory, images.images, images.packages)
    return True


def _make(target: Path, cache: Path, progress: Progress) -> None:
    """Make the set; the caller holds the lock of `target`."""
    tree = target.with_name(f"{target.name}-tree")
    shutil.rmtree(tree, ignore_errors=True)
    try:
        made = gather(tree, cache, progress)
        with replacing(target) as new:
            images = []
            for recipe in recipes(made):
                progress(f"packing the image {recipe.names[0]}", None)
                packed = pack(recipe.fill(made), recipe.settings, architecture())
                images.append(write_image(new, recipe.short, recipe.names, packed))
            _seal(new, images, contents(tree))
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _seal(directory: Path, images: Sequence[Image], packages: Sequence[str]) -> None:
    """Seal every file of the set."""
    paths = [path for path in directory.rglob("*") if path.is_file() and path.name != MANIFEST]
    facts = {
        "images": [image.facts() for image in images],
        "packages": list(packages),
        "stamp": _stamp(),
    }
    seal(directory, [str(path.relative_to(directory)) for path in paths], facts)


def architecture() -> str:
    """This machine's architecture as Go names it. Raises UnavailableError for one unheard of."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise UnavailableError(f"images can be made on x86_64 and aarch64, not on {machine}")
    return _ARCHITECTURES[machine]

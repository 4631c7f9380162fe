"""Images as bytes: the same each time, and as the specification has them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from podwire.cluster.images.oci import LAYER, MANIFEST, Packed, Settings, archive, pack
from podwire.cluster.images.rootfs import RootFs

SETTINGS = Settings(entrypoint=("/run",), cmd=("a",), ports=("80/tcp",), stop_signal="SIGQUIT")


def packed() -> Packed:
    root = RootFs()
    root.file("run", b"#!/bin/sh\n", 0o755)
    root.directory("tmp", 0o1777)
    return pack(root, SETTINGS, "amd64")


def blobs(image: Packed) -> dict[str, Any]:
    return {blob.digest: blob.data for blob in image.blobs}


def test_packing_twice_gives_the_same_bytes() -> None:
    assert packed() == packed()


def test_content_comes_from_files_as_from_bytes(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"content")
    one, other = RootFs(), RootFs()
    one.file("run", tmp_path / "run")
    other.file("run", b"content")
    assert pack(one, SETTINGS, "amd64") == pack(other, SETTINGS, "amd64")


def test_the_manifest_leads_to_configuration_and_layer() -> None:
    image = packed()
    manifest = json.loads(image.manifest.data)
    assert manifest["mediaType"] == MANIFEST
    found = blobs(image)
    for descriptor in (manifest["config"], *manifest["layers"]):
        data = found[descriptor["digest"]]
        assert descriptor["size"] == len(data)
        assert descriptor["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert [one["mediaType"] for one in manifest["layers"]] == [LAYER]


def test_the_configuration_says_how_to_run_it() -> None:
    image = packed()
    config = json.loads(image.blobs[0].data)
    assert (config["architecture"], config["os"]) == ("amd64", "linux")
    assert config["config"]["Entrypoint"] == ["/run"]
    assert config["config"]["Cmd"] == ["a"]
    assert config["config"]["StopSignal"] == "SIGQUIT"
    assert config["config"]["ExposedPorts"] == {"80/tcp": {}}
    assert "Labels" not in config["config"]
    plain = gzip.decompress(image.blobs[1].data)
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(plain).hexdigest()}"]
    assert image.unpacked == len(plain)


def test_the_layer_belongs_to_root_and_is_dated_1970() -> None:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed().blobs[1].data))) as layer:
        members = {one.name: one for one in layer.getmembers()}
    assert {(one.uid, one.gid, one.mtime) for one in members.values()} == {(0, 0, 0)}
    assert members["run"].mode == 0o755
    assert members["tmp"].mode == 0o1777
    assert members["lib"].linkname == "usr/lib"
    assert members["usr/lib"].isdir()


def test_an_archive_is_an_image_layout_with_every_name() -> None:
    image = packed()
    data = archive(image, ("docker.io/library/a:1", "docker.io/library/a:2"))
    assert data == archive(image, ("docker.io/library/a:1", "docker.io/library/a:2"))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        files = {one.name: tar.extractfile(one).read() for one in tar if one.isfile()}  # type: ignore[union-attr]
    index = json.loads(files["index.json"])
    names = [one["annotations"]["io.containerd.image.name"] for one in index["manifests"]]
    assert names == ["docker.io/library/a:1", "docker.io/library/a:2"]
    assert {one["digest"] for one in index["manifests"]} == {image.manifest.digest}
    for path, content in files.items():
        if path.startswith("blobs/sha256/"):
            assert path.rsplit("/", 1)[1] == hashlib.sha256(content).hexdigest()

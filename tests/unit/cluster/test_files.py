import stat

import pytest

from podwire.cluster.files import write_file


def test_replaces_the_whole_file_with_the_mode(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old and longer")
    write_file(path, b"new", mode=0o600, sync=True)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_file(path, "text is no bytes")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]

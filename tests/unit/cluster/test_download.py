"""Downloads against a real server on loopback: verified, resumed, and given up in time."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from podwire.cluster.download import fetch, read_text
from podwire.model.errors import ProcessError, UnavailableError
from podwire.model.progress import silent
from tests.unit.cluster.release_site import Site, mute, serving

CONTENT = bytes(range(256)) * 4096
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        site.files["/file"] = CONTENT
        yield site


def get(site: Site, target: Path, expected: str = SUM) -> None:
    fetch(f"{site.url}/file", target, expected, "sha256", silent, stall=5)


def test_a_whole_file_arrives(site: Site, tmp_path: Path) -> None:
    seen: list[float | None] = []
    fetch(f"{site.url}/file", tmp_path / "f", SUM, "sha256", lambda _, part: seen.append(part))
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert seen[-1] == 1.0
    assert seen == sorted(seen)


def test_a_wrong_checksum_names_both_sums_and_leaves_nothing(site: Site, tmp_path: Path) -> None:
    published = "0" * 64
    with pytest.raises(ProcessError) as caught:
        get(site, tmp_path / "f", published)
    assert SUM in str(caught.value)
    assert published in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_cut_connection_is_resumed(site: Site, tmp_path: Path) -> None:
    site.cut["/file"] = [300_000, 400_000]
    get(site, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert [wanted for _, wanted in site.requests] == ["", "bytes=300000-", "bytes=700000-"]


def test_a_later_call_goes_on_from_what_is_there(site: Site, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT[:1000])
    get(site, tmp_path / "f")
    assert site.requests == [("/file", "bytes=1000-")]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_cut_without_a_byte_is_an_error_that_keeps_the_part(site: Site, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT[:1000])
    site.cut["/file"] = [0]
    with pytest.raises(UnavailableError, match=r"1000 of 1048576 bytes.*f\.part"):
        get(site, tmp_path / "f")
    assert (tmp_path / "f.part").read_bytes() == CONTENT[:1000]
    assert not (tmp_path / "f").exists()


def test_a_server_without_ranges_sends_all_again(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    (tmp_path / "f.part").write_bytes(b"y" * 1000)
    get(site, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_part_that_is_the_whole_file_needs_no_request(site: Site, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT)
    get(site, tmp_path / "f")
    assert site.requests == []


def test_a_part_longer_than_the_file_is_dropped(site: Site, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT + b"tail")
    with pytest.raises(UnavailableError, match="416"):
        get(site, tmp_path / "f")
    get(site, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_missing_file_is_unavailable_and_leaves_nothing(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="404"):
        fetch(f"{site.url}/other", tmp_path / "f", SUM, "sha256", silent)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_stalls_is_given_up(tmp_path: Path) -> None:
    with mute() as url, pytest.raises(UnavailableError, match="timed out"):
        fetch(f"{url}/f", tmp_path / "f", SUM, "sha256", silent, stall=0.2)


def test_text_or_none(site: Site) -> None:
    site.files["/sum"] = b"abc\n"
    assert read_text(f"{site.url}/sum", limit=5) == "abc\n"
    assert read_text(f"{site.url}/none", limit=5) is None


def test_a_mute_server_is_waited_for_no_longer_than_the_limit() -> None:
    with mute() as url:
        asked = threading.Thread(target=_expect_unavailable, args=(url,))
        asked.start()
        asked.join(10)
        assert not asked.is_alive()


def _expect_unavailable(url: str) -> None:
    with pytest.raises(UnavailableError):
        read_text(f"{url}/sum", limit=0.2)


def test_a_closed_port_is_unavailable() -> None:
    with mute() as url:
        pass
    with pytest.raises(UnavailableError, match="refused"):
        read_text(f"{url}/sum", limit=5)

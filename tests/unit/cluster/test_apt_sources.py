"""apt's two source formats, and the mirrors of another suite that follow from them."""

from pathlib import Path

import pytest

from podwire.cluster.apt_sources import (
    Source,
    codename,
    for_suite,
    machine_sources,
    parse_deb822,
    parse_one_line,
)

KEYRING = "/usr/share/keyrings/archive.gpg"
MAIN = Source(("deb",), ("http://mirror.test/debian",), ("bookworm",), ("main",))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deb http://mirror.test/debian bookworm main", MAIN),
        ("  deb   http://mirror.test/debian\tbookworm   main   # ours", MAIN),
        (
            f"deb [signed-by={KEYRING} arch=amd64,arm64] http://m.test/d bookworm main contrib",
            Source(
                ("deb",),
                ("http://m.test/d",),
                ("bookworm",),
                ("main", "contrib"),
                {"Signed-By": KEYRING, "Architectures": "amd64 arm64"},
            ),
        ),
        (
            "deb-src [ trusted=yes ] file:/srv/repo ./",
            Source(("deb-src",), ("file:/srv/repo",), ("./",), (), {"Trusted": "yes"}),
        ),
    ],
)
def test_one_line(line: str, expected: Source) -> None:
    assert parse_one_line(f"# comment\n\n{line}\n") == [expected]


@pytest.mark.parametrize(
    "line", ["#deb http://mirror.test/debian bookworm main", "deb", "deb http://x", "rpm a b c"]
)
def test_lines_that_are_no_source(line: str) -> None:
    assert parse_one_line(line) == []


DEB822 = f"""\
# The main archive
Types: deb deb-src
URIs: http://mirror.test/debian
  http://other.test/debian
Suites: bookworm bookworm-updates
# within a stanza
Components: main non-free-firmware
Signed-By: {KEYRING}

Types: deb
URIs: http://security.test/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.test/debian
Suites: bookworm
Components: main
"""


def test_deb822() -> None:
    assert parse_deb822(DEB822) == [
        Source(
            ("deb", "deb-src"),
            ("http://mirror.test/debian", "http://other.test/debian"),
            ("bookworm", "bookworm-updates"),
            ("main", "non-free-firmware"),
            {"Signed-By": KEYRING},
        ),
        Source(
            ("deb",), ("http://security.test/debian-security",), ("bookworm-security",), ("main",)
        ),
    ]


def test_a_key_within_a_stanza_survives_both_ways() -> None:
    text = (
        "Types: deb\nURIs: http://m.test/d\nSuites: bookworm\nComponents: main\nSigned-By:\n"
        " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    (source,) = parse_deb822(text)
    assert parse_deb822(source.stanza()) == [source]
    assert " .\n mQINBF\n" in source.stanza()


def test_another_suite_comes_from_the_mirrors_of_the_machines_own() -> None:
    sources = [
        *parse_deb822(DEB822),
        Source(("deb",), ("http://third.test/apt",), ("nodistro",), ("main",)),
        Source(("deb",), ("http://docker.test/linux",), ("bookworm",), ("stable",)),
    ]
    assert for_suite(sources, "bookworm", "bullseye", "deb-src") == [
        Source(
            ("deb-src",),
            ("http://mirror.test/debian", "http://other.test/debian"),
            ("bullseye",),
            ("main",),
            {"Signed-By": KEYRING},
        )
    ]


def test_a_mirror_named_twice_is_asked_once() -> None:
    sources = [MAIN, Source(("deb-src",), MAIN.uris, MAIN.suites, ("main", "contrib"))]
    assert len(for_suite(sources, "bookworm", "bullseye", "deb")) == 1


def test_a_machine_that_follows_stable_has_mirrors_too() -> None:
    stable = Source(("deb",), MAIN.uris, ("stable",), ("main",))
    assert for_suite([stable], "", "bullseye", "deb")[0].uris == MAIN.uris


def test_a_machines_sources_are_of_both_formats(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.test/debian bookworm main\n")
    (parts / "b.list").write_text("deb http://b.test/debian bookworm main\n")
    (parts / "c.sources").write_text(DEB822)
    (parts / "d.list.save").write_text("deb http://d.test/debian bookworm main\n")
    (parts / "e.sources.disabled").write_text(DEB822)
    hosts = [source.uris[0].split("/")[2] for source in machine_sources(tmp_path)]
    assert hosts == ["a.test", "b.test", "mirror.test", "security.test"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ID=debian\nVERSION_CODENAME=bookworm\n", "bookworm"),
        ('VERSION_CODENAME="trixie"\n', "trixie"),
        ("ID=other\n", ""),
    ],
)
def test_codename(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "os-release").write_text(text)
    assert codename(tmp_path / "os-release") == expected
    assert codename(tmp_path / "none") == ""

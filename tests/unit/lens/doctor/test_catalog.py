"""docs/doctor.md has every kind of finding as the code has it, and every kind can be found."""

from __future__ import annotations

import re
from pathlib import Path

from podwire.lens.doctor import ledger
from podwire.lens.doctor.catalog import KINDS
from podwire.lens.doctor.values import SEVERITIES

ROOT = Path(__file__).parents[4]
ROW = re.compile(r"^\| `([a-z-]+)` \| (\w+) \| (.*) \|$", re.MULTILINE)


def test_the_table_of_the_documentation_is_the_codes():
    text = (ROOT / "docs/doctor.md").read_text()
    assert ROW.findall(text) == [(name, kind.severity, kind.title) for name, kind in KINDS.items()]


def test_every_kind_has_a_place_that_finds_it_and_a_test():
    code = "".join(
        path.read_text()
        for path in (ROOT / "src/podwire/lens/doctor").glob("*.py")
        if path.name != "catalog.py"
    )
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for name, kind in KINDS.items():
        assert f'"{name}"' in code, name
        assert f'"{name}"' in tests, name
        assert kind.severity in SEVERITIES
    assert set(ledger.KINDS.values()) <= set(KINDS)

"""Instance numbers of a pool: rising, never used twice, the highest go first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podwire.lab.instances import Instances


def test_out_and_in_and_out_again() -> None:
    three = Instances().resized(3)
    assert three.numbers == (0, 1, 2)
    two = three.resized(2)
    assert two.numbers == (0, 1)
    assert two.resized(4).numbers == (0, 1, 3, 4)


def test_what_an_upgrade_has_replaced_goes_with_its_instance() -> None:
    pool = Instances().resized(3).with_renewed([0]).with_renewed([2])
    assert pool.renewed == (0, 2)
    assert pool.resized(2).renewed == (0,)
    assert pool.resized(2).resized(3).renewed == (0,), "a new instance is none of the old"


@given(st.lists(st.one_of(st.integers(0, 20), st.sets(st.integers(0, 30)))))
def test_a_number_that_was_given_out_never_comes_back(deeds: list[int | set[int]]) -> None:
    pool, gone = Instances(), set[int]()
    for deed in deeds:
        before = set(pool.numbers)
        pool = pool.without(deed) if isinstance(deed, set) else pool.resized(deed)
        gone |= before - set(pool.numbers)
        assert not gone & set(pool.numbers)
        assert list(pool.numbers) == sorted(set(pool.numbers))
        if isinstance(deed, int):
            assert len(pool.numbers) == deed

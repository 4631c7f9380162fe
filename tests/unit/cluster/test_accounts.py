"""A node's people in its passwd, group, shadow and sudoers."""

from __future__ import annotations

import pytest

from podwire.cluster.accounts import NO_PASSWORD, Account, Databases, People, number
from podwire.model.errors import InvalidInputError

EMPTY = Databases(
    "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n",
    "root:x:0:\ndocker:x:998:\n",
    "root:*:19000:0:99999:7:::\n",
)
ALICE, BOB = Account("alice", 1000), Account("bob", 1001, expires="2026-12-31", sudo_asks=True)


def test_an_account_is_in_all_three_files_and_in_group_docker() -> None:
    made = EMPTY.having([ALICE, BOB])
    assert "alice:x:1000:1000::/home/alice:/bin/bash\n" in made.passwd
    assert made.group.endswith("docker:x:998:alice,bob\nalice:x:1000:\nbob:x:1001:\n")
    assert made.shadow.endswith("alice:*:19000:0:99999:7:::\nbob:*:19000:0:99999:7::20818:\n")


def test_an_account_of_the_same_name_is_replaced() -> None:
    once = EMPTY.having([ALICE, BOB])
    assert once.having([ALICE, BOB]) == once
    assert once.without("alice").without("bob") == EMPTY


def test_a_name_that_begins_another_is_left_alone() -> None:
    both = EMPTY.having([ALICE, Account("alicea", 1001)])
    assert both.without("alice") == EMPTY.having([Account("alicea", 1001)])


def test_without_a_group_docker_nothing_is_joined() -> None:
    bare = Databases("", "", "")
    assert bare.having([ALICE]).group == "alice:x:1000:\n"


def test_uids_are_the_accounts_own_or_the_next_that_is_free() -> None:
    assert EMPTY.uid("alice") == 1000
    taken = EMPTY.having([ALICE])
    assert (taken.uid("alice"), taken.uid("bob")) == (1000, 1001)


@pytest.mark.parametrize("name", ["root", "nobody"])
def test_an_account_of_the_system_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"'{name}' is an account of the system"):
        EMPTY.uid(name)


def test_people_are_kept_as_they_are() -> None:
    people = People(password_logins=True).having(ALICE).having(BOB)
    assert People.from_json(people.to_json()) == people
    assert people.find("bob") == BOB
    assert people.without("bob").without("alice") == People(password_logins=True)


def test_who_has_a_password_is_asked_for_it_by_sudo() -> None:
    people = People((ALICE, BOB))
    assert people.sudoers == "alice ALL = (ALL) NOPASSWD: ALL\nbob ALL = (ALL) ALL\n"


def test_a_hash_is_not_shown() -> None:
    account = Account("a", 1000, password="$6$secret")
    assert "secret" not in repr(EMPTY.having([account])) + repr(account)
    assert ALICE.password == NO_PASSWORD


def test_numbers_are_found_by_name() -> None:
    assert number("docker:x:998:\n", "docker") == 998
    assert number("dockers:x:998:\n", "docker") is None

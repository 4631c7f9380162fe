"""The texts of a node's /etc."""

from __future__ import annotations

from podwire.cluster.node_files import hosts, machine_id, shadow, system_accounts

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
postgres:x:101:103::/var/lib/postgresql:/bin/bash
alice:x:1000:1000::/home/alice:/bin/bash
+::::::
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""


def test_only_accounts_that_every_debian_has_are_kept() -> None:
    """nginx's worker (101 in its image) must not show as the machine's postgres."""
    kept = [line.split(":")[0] for line in system_accounts(PASSWD).splitlines()]
    assert kept == ["root", "www-data", "nobody"]


def test_groups_have_the_same_form() -> None:
    assert system_accounts("root:x:0:\ndocker:x:999:alice\n") == "root:x:0:\n"


def test_a_node_without_an_address_still_resolves_its_name() -> None:
    assert "127.0.1.1 n0\n" in hosts("n0", "")
    assert "10.220.2.4 n0\n" in hosts("n0", "10.220.2.4")


def test_machine_ids_differ_by_lab_and_node_and_stay() -> None:
    assert machine_id("a", "n0") == machine_id("a", "n0")
    assert len({machine_id("a", "n0"), machine_id("b", "n0"), machine_id("a", "n1")}) == 3


def test_nobody_on_a_node_has_a_password() -> None:
    entries = [line.split(":") for line in shadow(PASSWD).splitlines()]
    assert [one[0] for one in entries] == [line.split(":")[0] for line in PASSWD.splitlines()]
    assert {one[1] for one in entries} == {"*"}
    assert {len(one) for one in entries} == {9}

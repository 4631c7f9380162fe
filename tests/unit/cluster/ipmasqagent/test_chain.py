"""The chain as text."""

from __future__ import annotations

from podwire.cluster.ipmasqagent.chain import chain_rules, restore_text
from podwire.cluster.ipmasqagent.config import Config

KEPT = '-m comment --comment "ip-masq-agent: local traffic is not subject to MASQUERADE" -j RETURN'
REST = (
    '-m comment --comment "ip-masq-agent: outbound traffic is subject to MASQUERADE '
    '(must be last in chain)" -j MASQUERADE'
)


def test_one_return_per_cidr_and_masquerade_last() -> None:
    assert chain_rules(Config(("10.220.0.0/16", "10.200.0.0/16"), True)) == (
        f"-A IP-MASQ-AGENT -d 10.220.0.0/16 {KEPT}",
        f"-A IP-MASQ-AGENT -d 10.200.0.0/16 {KEPT}",
        f"-A IP-MASQ-AGENT {REST}",
    )


def test_link_local_destinations_come_first_unless_they_are_masqueraded() -> None:
    rules = chain_rules(Config(("10.0.0.0/8", "169.254.0.0/16"), False))
    assert [one.split()[3] for one in rules[:-1]] == ["169.254.0.0/16", "10.0.0.0/8"]


def test_nothing_listed_is_everything_masqueraded() -> None:
    assert chain_rules(Config((), True)) == (f"-A IP-MASQ-AGENT {REST}",)


def test_everywhere_is_no_destination_as_iptables_prints_it() -> None:
    assert chain_rules(Config(("0.0.0.0/0",), True))[0] == f"-A IP-MASQ-AGENT {KEPT}"


def test_the_whole_change_is_one_transaction() -> None:
    assert restore_text(["-A IP-MASQ-AGENT -j MASQUERADE"], jump=False) == (
        "*nat\n:IP-MASQ-AGENT - [0:0]\n-A IP-MASQ-AGENT -j MASQUERADE\nCOMMIT\n"
    )
    assert (
        '-A POSTROUTING -m comment --comment "ip-masq-agent: ensure nat POSTROUTING directs all '
        'non-LOCAL destination traffic to our custom IP-MASQ-AGENT chain" -m addrtype ! --dst-type '
        "LOCAL -j IP-MASQ-AGENT\nCOMMIT\n"
    ) in restore_text([], jump=True)

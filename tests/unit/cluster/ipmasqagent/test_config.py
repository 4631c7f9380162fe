"""What a ConfigMap's text says, and what is wrong with one that says nothing."""

from __future__ import annotations

import pytest
import yaml

from podwire.cluster.ip_masq import config_map, non_masquerade_cidrs
from podwire.cluster.ipmasqagent.config import Config, ConfigError, parse

VNET = ("10.220.0.0/16",)


def test_the_text_that_a_new_cluster_has() -> None:
    cidrs = non_masquerade_cidrs(VNET, "10.220.1.0/24", "10.200.0.0/16", "10.100.0.0/16")
    made = config_map(cidrs)
    assert made["metadata"]["name"] == "azure-ip-masq-agent-config"
    assert made["data"]["ip-masq-agent"] == (
        "nonMasqueradeCIDRs:\n- 10.220.0.0/16\n- 10.220.1.0/24\n- 10.200.0.0/16\n- 10.100.0.0/16\n"
        "masqLinkLocal: true\nresyncInterval: 60s\n"
    )
    assert parse(made["data"]["ip-masq-agent"]) == Config(cidrs, True, 60.0)


def test_with_azure_cni_pods_are_in_the_subnet_and_nothing_is_listed_twice() -> None:
    assert non_masquerade_cidrs(VNET, "10.220.0.0/16", "10.200.0.0/16") == (
        "10.220.0.0/16",
        "10.200.0.0/16",
    )


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("", Config((), False, 60.0)),
        ("# nothing\n", Config((), False, 60.0)),
        ("nonMasqueradeCIDRs: []", Config((), False, 60.0)),
        ("nonMasqueradeCIDRs:\nmasqLinkLocal: true", Config((), True, 60.0)),
        ('{"nonMasqueradeCIDRs":["10.0.0.0/8"],"resyncInterval":"1m30s"}',
         Config(("10.0.0.0/8",), False, 90.0)),
        ("nonMasqueradeCIDRs:\n  - '10.1.2.3/32'  # one\n  - 10.1.2.3/32\nresyncInterval: 1s",
         Config(("10.1.2.3/32",), False, 1.0)),
        ("nonMasqueradeCIDRs: [0.0.0.0/0]\nmasqLinkLocalIPv6: true",
         Config(("0.0.0.0/0",), False, 60.0)),
    ],
)  # fmt: skip
def test_what_is_valid(text: str, config: Config) -> None:
    assert parse(text) == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonMasqueradeCIDRs: [10.0.0.0/33]", "'10.0.0.0/33' is no CIDR"),
        ("nonMasqueradeCIDRs: [10.0.0.0]", "write it as in 10.0.0.0/8"),
        ("nonMasqueradeCIDRs: [10.1.0.0/8]", "did you mean 10.0.0.0/8?"),
        ("nonMasqueradeCIDRs: ['fd00::/8']", "IPv4 alone"),
        ("nonMasqueradeCIDRs: [17]", "17 is no CIDR"),
        ("nonMasqueradeCIDRs: 10.0.0.0/8", "must be a list"),
        ("nonMasqueradeCIDR: [10.0.0.0/8]", "'nonMasqueradeCIDR' is no key"),
        ("7: 8", "7 is no key"),
        ("- 10.0.0.0/8", "must be a mapping"),
        ("nonMasqueradeCIDRs: [10.0.0.0/8", "no YAML: line 1: expected"),
        ("nonMasqueradeCIDRs:\n\t- 10.0.0.0/8", "no YAML: line 2:"),
        ("a\0b", "no YAML"),
        ("[" * 5000, "no YAML"),
        ("masqLinkLocal: maybe", "true or false, not 'maybe'"),
        ("resyncInterval: 60", "a duration as in 60s"),
        ("resyncInterval: soon", "a duration as in 60s"),
        ("resyncInterval: 500ms", "at least 1s"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_as_many_cidrs_as_the_original_takes() -> None:
    def of(count: int) -> str:
        return yaml.safe_dump({"nonMasqueradeCIDRs": [f"10.{one}.0.0/16" for one in range(count)]})

    assert len(parse(of(64)).cidrs) == 64
    with pytest.raises(ConfigError, match="at most 64"):
        parse(of(65))

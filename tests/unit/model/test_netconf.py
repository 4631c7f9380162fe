from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from podwire.model.cni_error import INCOMPATIBLE_VERSION, INVALID_CONFIG, CniError
from podwire.model.netconf import NetConf

SEED: dict[str, Any] = {
    "bridge": "azure0",
    "cniVersion": "0.3.0",
    "ipam": {"type": "azure-vnet-ipam"},
    "ipsToRouteViaHost": ["169.254.20.10"],
    "mode": "bridge",
    "name": "azure",
    "type": "azure-vnet",
}
SHIPPED = sorted(Path(__file__).parents[2].glob("conflists/*.conflist"))
"""As Azure's tools write them, v1.1.8 to v1.8.12."""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda one: one.stem)
def test_every_shipped_conflist_parses(path: Path) -> None:
    document = json.loads(path.read_text())
    raw = document["plugins"][0]
    conf = NetConf.parse({"name": document["name"], "cniVersion": document["cniVersion"], **raw})
    assert (conf.name, conf.mode, conf.ipam.type) == ("azure", raw["mode"], raw["ipam"]["type"])


def test_the_seed_in_full() -> None:
    conf = NetConf.parse(SEED)
    assert (conf.bridge, conf.ips_to_route_via_host) == ("azure0", ("169.254.20.10",))
    assert (conf.multi_tenancy, conf.previous, conf.dns.nameservers) == (False, None, ())


def test_what_is_not_given() -> None:
    conf = NetConf.parse({"name": "azure", "ipam": None, "dns": None, "prevResult": None})
    assert (conf.mode, conf.cni_version, conf.bridge) == ("tunnel", "0.2.0", "")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": ""}, 'name is ""'),
        ({"name": None}, "name is null"),
        ({"mode": "l2-bridge"}, 'mode is "l2-bridge"; it must be tunnel or bridge'),
        ({"mode": 7}, "mode is 7"),
        ({"bridge": "a name too long for Linux"}, "bridge is"),
        ({"ipsToRouteViaHost": "169.254.20.10"}, "must be a list"),
        ({"ipsToRouteViaHost": ["169.254.20.10", "x"]}, 'ipsToRouteViaHost[1] is "x"'),
        ({"multiTenancy": "yes"}, 'multiTenancy is "yes"; it must be true or false'),
        ({"ipam": []}, None),
        ({"ipam": "azure-cns"}, 'ipam is "azure-cns"; it must be an object'),
        ({"ipam": {"type": "../evil"}}, 'ipam.type is "../evil"'),
        ({"ipam": {"subnet": "10.220.2.7/24"}}, 'ipam.subnet is "10.220.2.7/24"'),
        ({"ipam": {"ipAddress": "ten"}}, 'ipam.ipAddress is "ten"'),
        ({"ipam": {"type": 7}}, "ipam.type is 7; it must be a plugin's file name"),
        ({"dns": "10.0.0.10"}, 'dns is "10.0.0.10"; it must be an object'),
        ({"dns": {"nameservers": [1]}}, "dns.nameservers[0] is 1"),
        ({"dns": {"domain": ["a"]}}, 'dns.domain is ["a"]; it must be a string'),
        ({"dns": {"search": {"a": 1}}}, 'dns.search is {"a": 1}; it must be a list'),
        ({"dns": {"options": [None]}}, "dns.options[0] is null; it must be a string"),
        ({"master": "eth0/1"}, 'master is "eth0/1"; it must be a link name'),
        ({"cniVersion": 3}, "cniVersion is 3; it must be a string"),
    ],
)
def test_a_wrong_field_is_refused_with_its_path_and_value(
    changes: dict[str, Any], said: str | None
) -> None:
    if said is None:  # empty of the wrong type: as good as absent
        assert NetConf.parse({**SEED, **changes}).ipam.type == ""
        return
    with pytest.raises(CniError) as refused:
        NetConf.parse({**SEED, **changes})
    assert refused.value.code == INVALID_CONFIG
    assert said in refused.value.msg


def test_an_unknown_version_names_the_known_ones() -> None:
    with pytest.raises(CniError) as refused:
        NetConf.parse({**SEED, "cniVersion": "2.0.0"})
    assert refused.value.code == INCOMPATIBLE_VERSION
    assert "0.3.0" in refused.value.msg


def test_the_previous_result_is_read() -> None:
    previous = {"ips": [{"version": "4", "address": "10.220.2.11/24"}]}
    conf = NetConf.parse({**SEED, "prevResult": previous})
    assert conf.previous is not None
    assert conf.previous.ips[0].address == "10.220.2.11/24"

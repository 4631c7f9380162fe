"""Azure's state documents: every key, and Go's way with masks, MACs, nothing and time."""

from __future__ import annotations

import re
from dataclasses import replace

from podwire.cni.azure_state import NodeState, document
from podwire.ipam.lease import ATTACHED, OWN_IPAM, AddressState, Lease, Pool
from podwire.model.bridge_mode import Uplink

MAC = "00:0d:3a:8a:50:da"
CONTAINER = "116419acc6958dbaa1f80380eee6762928ead0caec83d0174fc5daa91a110897"
LEASE = Lease(
    *(1, "10.220.2.13", "10.220.2.0/24", "10.220.2.1", ATTACHED, CONTAINER, "eth0"),
    *("/proc/77/ns/net", "default", "web", "azure", "azvb1f7346f51b", "02:00:00:00:00:01"),
    *("azure0", OWN_IPAM, 0, 0, 0.0),
)
STATE = NodeState(
    Uplink("eth0", MAC, 1500, ("10.220.2.4/24",), "10.220.2.1"),
    "bridge",
    "azure0",
    (LEASE,),
    (Pool("10.220.2.0/24", "10.220.2.1", MAC, "10.220.2.4", 2, 1, 3.0),),
    tuple(
        AddressState(f"10.220.2.{last}", "10.220.2.0/24", MAC, True, None, last == 13)
        for last in (13, 14)
    ),
    {MAC: "eth0"},
    1604660000.5,
)
ENDPOINT = {
    "Id": "116419ac-eth0",
    "SandboxKey": "",
    "IfName": "azvb1f7346f51b2",
    "HostIfName": "azvb1f7346f51b",
    "MacAddress": "AgAAAAAB",
    "InfraVnetIP": {"IP": "", "Mask": None},
    "LocalIP": "",
    "IPAddresses": [{"IP": "10.220.2.13", "Mask": "////AA=="}],
    "Gateways": ["10.220.2.1"],
    "DNS": {"Suffix": "", "Servers": ["168.63.129.16"], "Options": None},
    "Routes": [
        {
            "Dst": {"IP": "0.0.0.0", "Mask": "AAAAAA=="},
            "Src": "",
            "Gw": "10.220.2.1",
            "Protocol": 0,
            "DevName": "",
            "Scope": 0,
            "Priority": 0,
        }
    ],
    "VlanID": 0,
    "EnableSnatOnHost": False,
    "EnableInfraVnet": False,
    "EnableMultitenancy": False,
    "AllowInboundFromHostToNC": False,
    "AllowInboundFromNCToHost": False,
    "NetworkContainerID": "",
    "NetworkNameSpace": "/proc/77/ns/net",
    "ContainerID": CONTAINER,
    "PODName": "web",
    "PODNameSpace": "default",
}


def test_the_network_plugins_document() -> None:
    told = document(STATE)["Network"]
    assert re.fullmatch(r"2020-11-06T\d\d:\d\d:20\.500000000Z", told["TimeStamp"])
    assert set(told) == {"Version", "TimeStamp", "ExternalInterfaces"}
    card = told["ExternalInterfaces"]["eth0"]
    network = card.pop("Networks")["azure"]
    routes = card.pop("Routes")
    assert card == {
        "Name": "eth0",
        "Subnets": ["10.220.2.0/24"],
        "BridgeName": "azure0",
        "DNSInfo": {"Suffix": "", "Servers": None, "Options": None},
        "MacAddress": "AA06ilDa",
        "IPAddresses": [{"IP": "10.220.2.4", "Mask": "////AA=="}],
        "IPv4Gateway": "10.220.2.1",
        "IPv6Gateway": "::",
    }
    assert (routes[0]["Dst"], routes[0]["Gw"]) == (None, "10.220.2.1")
    assert network.pop("Endpoints") == {"116419ac-eth0": ENDPOINT}
    assert network == {
        "Id": "azure",
        "Mode": "bridge",
        "VlanId": 0,
        "Subnets": [
            {
                "Family": 2,
                "Prefix": {"IP": "10.220.2.0", "Mask": "////AA=="},
                "Gateway": "10.220.2.1",
                "PrimaryIP": "10.220.2.4",
            }
        ],
        "DNS": {"Suffix": "", "Servers": None, "Options": None},
        "EnableSnatOnHost": False,
        "NetNs": "",
        "SnatBridgeIP": "",
    }


def test_the_ipam_plugins_document() -> None:
    told = document(STATE)["IPAM"]
    assert set(told) == {"Version", "TimeStamp", "AddressSpaces"}
    assert told["AddressSpaces"] == {
        "local": {
            "Id": "local",
            "Scope": 0,
            "Pools": {
                "10.220.2.0/24": {
                    "Id": "10.220.2.0/24",
                    "IfName": "eth0",
                    "Subnet": {"IP": "10.220.2.0", "Mask": "////AA=="},
                    "Gateway": "10.220.2.1",
                    "Addresses": {
                        "10.220.2.13": {"ID": CONTAINER, "Addr": "10.220.2.13", "InUse": True},
                        "10.220.2.14": {"ID": "", "Addr": "10.220.2.14", "InUse": False},
                    },
                    "IsIPv6": False,
                    "Priority": 0,
                    "RefCount": 1,
                }
            },
        }
    }


def test_transparent_mode_has_moved_nothing_from_the_card() -> None:
    routed = replace(LEASE, bridge="")
    state = replace(STATE, mode="transparent", bridge="", leases=(routed,))
    card = document(state)["Network"]["ExternalInterfaces"]["eth0"]
    assert (card["BridgeName"], card["IPAddresses"], card["Routes"]) == ("", None, None)
    assert card["IPv4Gateway"] == "0.0.0.0"
    (endpoint,) = card["Networks"]["azure"]["Endpoints"].values()
    assert endpoint["Gateways"] == ["0.0.0.0"]
    assert [(one["Dst"]["IP"], one["Gw"]) for one in endpoint["Routes"]] == [
        ("169.254.1.1", ""),
        ("0.0.0.0", "169.254.1.1"),
    ]


def test_a_node_without_pods_and_one_that_was_never_wired() -> None:
    bare = document(replace(STATE, leases=()))
    networks = bare["Network"]["ExternalInterfaces"]["eth0"]["Networks"]
    assert networks["azure"]["Endpoints"] == {}
    new = document(replace(STATE, uplink=None, mode="", leases=(), pools=(), addresses=()))
    assert new["Network"]["ExternalInterfaces"] == {}
    assert new["IPAM"]["AddressSpaces"] == {}


def test_labels_that_collide_and_a_holder_that_nobody_knows() -> None:
    twin = replace(LEASE, id=2, address="10.220.2.14", container_id=CONTAINER[:-1] + "0")
    nobody = replace(LEASE, id=3, address="10.220.2.15", container_id="", ifname="")
    told = document(replace(STATE, leases=(LEASE, twin, nobody)))
    card = told["Network"]["ExternalInterfaces"]["eth0"]
    endpoints = card["Networks"]["azure"]["Endpoints"]
    assert list(endpoints) == ["116419ac-eth0", f"{twin.container_id}-eth0", "unknown-"]
    pool = told["IPAM"]["AddressSpaces"]["local"]["Pools"]["10.220.2.0/24"]
    assert pool["Addresses"]["10.220.2.14"]["ID"] == twin.container_id

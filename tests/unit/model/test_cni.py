from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podwire.model.cni import Request, parse_args, valid_link_name
from podwire.model.cni_error import DECODE_FAILURE, INVALID_ENVIRONMENT, SUPPORTED, CniError
from podwire.model.cni_result import Dns, Interface, IpConfig, PodRoute, Result

ENV = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "116419acc6958dbaa1f80380eee6762928ead0caec83d0174fc5daa91a110897",
    "CNI_NETNS": "/proc/19263/ns/net",
    "CNI_IFNAME": "eth0",
    "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=nginx-7cf567cc7-bgc82",
    "CNI_PATH": "/opt/cni/bin",
}
RESULT = Result(
    (
        Interface("azvb1f7346f51b", "aa:aa:aa:aa:aa:aa"),
        Interface("eth0", "02:00:00:00:00:01", "/n"),
    ),
    (IpConfig("10.220.2.11/24", "10.220.2.1", 1),),
    (PodRoute("0.0.0.0/0", "10.220.2.1"),),
    Dns(("168.63.129.16",)),
)


def test_a_request_as_a_runtime_makes_it() -> None:
    request = Request.parse(ENV, b'{"name": "azure"}')
    assert (request.pod_namespace, request.pod_name) == ("default", "nginx-7cf567cc7-bgc82")
    assert (request.config, request.ifname, request.path) == (
        {"name": "azure"},
        "eth0",
        "/opt/cni/bin",
    )


@given(st.permutations(ENV["CNI_ARGS"].split(";")))
def test_args_may_come_in_any_order(pairs: list[str]) -> None:
    assert parse_args(";".join(pairs)) == parse_args(ENV["CNI_ARGS"])


def test_args_keep_equal_signs_and_skip_empty_pairs() -> None:
    assert parse_args(";A=b=c;; D=;") == {"A": "b=c", "D": ""}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"CNI_COMMAND": ""}, "CNI_COMMAND is ''"),
        ({"CNI_COMMAND": "UPDATE"}, "CNI_COMMAND is 'UPDATE'"),
        ({"CNI_CONTAINERID": ""}, "Container ID not specified in CNI Args"),
        ({"CNI_CONTAINERID": "a/b"}, "CNI_CONTAINERID is 'a/b'"),
        ({"CNI_CONTAINERID": "-a"}, "CNI_CONTAINERID is '-a'"),
        ({"CNI_IFNAME": ""}, "Interfacename not specified in CNI Args"),
        ({"CNI_IFNAME": "a b"}, "CNI_IFNAME is 'a b'"),
        ({"CNI_IFNAME": "a" * 16}, "CNI_IFNAME is"),
        ({"CNI_NETNS": ""}, "CNI_NETNS is not set"),
        ({"CNI_ARGS": "K8S_POD_NAME"}, "CNI_ARGS: 'K8S_POD_NAME' is not KEY=VALUE"),
    ],
)
def test_a_wrong_environment_is_refused_by_name(changes: dict[str, str], said: str) -> None:
    with pytest.raises(CniError) as refused:
        Request.parse({**ENV, **changes}, b"{}")
    assert refused.value.code == INVALID_ENVIRONMENT
    assert said in refused.value.msg


def test_a_del_needs_neither_namespace_nor_readable_arguments() -> None:
    env = {**ENV, "CNI_COMMAND": "DEL", "CNI_NETNS": "", "CNI_ARGS": "rubbish"}
    assert Request.parse(env, b"{}").netns == ""


@pytest.mark.parametrize("stdin", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_wrong_stdin_is_refused(stdin: bytes) -> None:
    with pytest.raises(CniError) as refused:
        Request.parse(ENV, stdin)
    assert refused.value.code == DECODE_FAILURE
    assert "Failed to parse network configuration" in refused.value.msg


def test_a_version_call_may_have_no_stdin() -> None:
    assert Request.parse({"CNI_COMMAND": "VERSION"}, b"").version == "0.2.0"


@pytest.mark.parametrize("version", SUPPORTED)
def test_a_result_survives_its_own_json(version: str) -> None:
    shape: dict[str, Any] = json.loads(json.dumps(RESULT.to_json(version)))
    assert shape["cniVersion"] == version
    read = Result.from_json(shape)
    assert [one.address for one in read.ips] == ["10.220.2.11/24"]
    assert read.routes == RESULT.routes
    assert read.dns == RESULT.dns
    if version >= "0.3.0":
        assert read == RESULT


def test_the_shapes_of_the_versions() -> None:
    assert RESULT.to_json("0.2.0") == {
        "cniVersion": "0.2.0",
        "ip4": {
            "ip": "10.220.2.11/24",
            "gateway": "10.220.2.1",
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.220.2.1"}],
        },
        "dns": {"nameservers": ["168.63.129.16"]},
    }
    ip = {"address": "10.220.2.11/24", "gateway": "10.220.2.1", "interface": 1}
    for version in ("0.3.0", "0.3.1", "0.4.0"):
        assert RESULT.to_json(version)["ips"] == [{"version": "4", **ip}]
    assert RESULT.to_json("1.0.0")["ips"] == [ip]
    assert RESULT.to_json("1.0.0")["interfaces"][1]["sandbox"] == "/n"


def test_addresses_of_both_families_in_the_old_shape() -> None:
    both = Result(
        ips=(IpConfig("10.0.0.2/24"), IpConfig("fd00::2/64", "fd00::1")),
        routes=(PodRoute("0.0.0.0/0"), PodRoute("::/0")),
    )
    shape = both.to_json("0.2.0")
    assert shape["ip4"] == {"ip": "10.0.0.2/24", "routes": [{"dst": "0.0.0.0/0"}]}
    assert shape["ip6"]["gateway"] == "fd00::1"


def test_a_result_without_sense_is_refused() -> None:
    with pytest.raises(CniError):
        Result.from_json({"ips": [{"addr": "10.0.0.1/24"}]})


def test_an_error_in_the_specifications_shape() -> None:
    error = CniError(11, "busy", "held by process 7")
    assert error.to_json("0.4.0") == {
        "cniVersion": "0.4.0",
        "code": 11,
        "msg": "busy",
        "details": "held by process 7",
    }
    assert error.to_json("9.9.9")["cniVersion"] == "1.1.0"


def test_link_names() -> None:
    assert all(valid_link_name(one) for one in ("eth0", "a" * 15, "azure0", "e.1"))
    assert not any(valid_link_name(one) for one in ("", ".", "..", "a/b", "a:1", "a b", "a" * 16))

from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.lens.doctor.remedies import fix, new_pod, placed
from podwire.lens.doctor.values import Finding


@pytest.mark.parametrize(
    ("remedy", "lab", "typed"),
    [
        (fix("n1"), "", "podwire doctor --fix"),
        (fix("n1"), "podwire", "podwire doctor --fix --node n1"),
        (fix("n1"), "mine", "podwire doctor --fix --name mine --node n1"),
        ("sysctl -w a=1", "", "sysctl -w a=1"),
        ("sysctl -w a=1", "podwire", "podwire node exec n1 -- sysctl -w a=1"),
        ("a && b", "mine", "a && b"),
        ("nft x && nft y", "mine", "podwire node exec --name mine n1 -- sh -c 'nft x && nft y'"),
        ("kubectl delete pod a", "mine", "kubectl delete pod a"),
    ],
)
def test_a_command_is_told_as_it_is_typed_there(remedy, lab, typed):
    finding = Finding("pod-wiring", "error", "pod a/b", "", "", remedy, node="n1")
    assert placed(finding, lab).remedy == typed
    assert placed(replace(finding, node=""), lab).remedy == remedy


def test_what_is_inside_a_pod_goes_with_it():
    assert new_pod("pod/default/web") == "kubectl delete pod -n default web"
    assert new_pod("pod/0123456789abcdef") == "delete the pod of container 0123456789ab"

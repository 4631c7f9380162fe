from __future__ import annotations

import pytest

from podwire.lens.collect import kube_objects as objects
from podwire.lens.kube_values import Endpoint

_META = {"namespace": "default", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}}
_TARGET = {"kind": "Pod", "namespace": "default", "name": "web-1"}


@pytest.mark.parametrize(
    "of_node", [{"nodeName": "n1"}, {"topology": {"kubernetes.io/hostname": "n1"}}]
)
def test_endpoints_of_both_versions_of_the_api(of_node):
    end = {"addresses": ["10.0.0.5"], "conditions": {}, "targetRef": _TARGET, **of_node}
    found = objects.endpoints([{"metadata": _META, "ports": [{"port": 80}], "endpoints": [end]}])
    assert found == {
        ("default", "web"): (Endpoint("10.0.0.5", 80, "", True, "n1", "default/web-1"),)
    }


def test_an_endpoint_that_is_not_ready_and_no_pod():
    end = {"addresses": ["10.0.0.5"], "conditions": {"ready": False}}
    ports = [{"name": "a", "port": 1}, {"name": "b", "port": 2}]
    found = objects.endpoints([{"metadata": _META, "ports": ports, "endpoints": [end]}])
    assert [(one.port_name, one.ready, one.pod) for one in found["default", "web"]] == [
        ("a", False, ""),
        ("b", False, ""),
    ]


def test_a_pod_that_waits_says_why():
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    status = {"phase": "Pending", "containerStatuses": [{"name": "c", "state": waiting}]}
    pod = objects.pod({"metadata": _META, "spec": {"nodeName": "n1"}, "status": status})
    assert (pod.address, pod.ready, pod.message) == ("", False, "no such image")
    assert pod.containers[0].state == "waiting: ImagePullBackOff"


def test_a_service_with_a_named_target_and_a_load_balancer():
    spec = {
        "type": "LoadBalancer",
        "clusterIP": "10.200.0.7",
        "ports": [{"port": 80, "targetPort": "http", "nodePort": 30080}],
        "externalIPs": ["192.0.2.1"],
        "externalTrafficPolicy": "Local",
    }
    status = {"loadBalancer": {"ingress": [{"ip": "198.18.0.4"}]}}
    service = objects.service({"metadata": _META, "spec": spec, "status": status}, {})
    assert service.ports[0].target == "http"
    assert service.external == ("192.0.2.1", "198.18.0.4")
    assert service.external_policy == "Local"

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from podwire.vnet.http import Request
from podwire.vnet.wireserver import interface_document, wire_server

QUERY = {"comp": "nmagent", "type": "getinterfaceinfov1"}


def ask(directory, path="/machine/plugins", query=QUERY, client="10.220.2.4", method="GET"):
    return wire_server(directory)(Request(method, path, query, {}, client))


def test_the_document_is_the_one_that_azure_cni_reads(first):
    assert interface_document(first) == (
        '<Interfaces><Interface MacAddress="000D3A8A50DA" IsPrimary="true">'
        '<IPSubnet Prefix="10.220.2.0/24">'
        '<IPAddress Address="10.220.2.4" IsPrimary="true" />'
        '<IPAddress Address="10.220.2.5" IsPrimary="false" />'
        '<IPAddress Address="10.220.2.6" IsPrimary="false" />'
        "</IPSubnet></Interface></Interfaces>"
    )


@pytest.mark.parametrize("client", ["10.220.2.35", "10.220.2.36"])
def test_each_client_is_told_of_its_own_nic(directory, client):
    answer = ask(directory, client=client)
    assert answer.status == 200
    assert answer.content_type.startswith("text/xml")
    interface = ElementTree.fromstring(answer.body).find("Interface")
    assert interface.get("MacAddress") == "000D3A8A50DB"


def test_a_client_without_a_nic_is_told_so(directory):
    answer = ask(directory, client="10.220.2.200")
    assert (answer.status, answer.body) == (404, "No NIC of this VNet owns 10.220.2.200\n")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/", {}),
        ("/machine/plugins", {}),
        ("/machine/plugins", {"comp": "nmagent", "type": "other"}),
        ("/machine", {"comp": "goalstate"}),
    ],
)
def test_anything_else_is_not_found(directory, path, query):
    assert ask(directory, path=path, query=query).status == 404


def test_only_reading_is_served(directory):
    answer = ask(directory, method="POST")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")

"""The wire server: tells a virtual machine which addresses its NIC has.

Source: the address source of Azure CNI's IPAM (`getinterfaceinfov1` of nmagent at 168.63.129.16).
"""

from __future__ import annotations

from xml.etree import ElementTree

from podwire.model.vnet import Nic
from podwire.vnet.directory import NicDirectory
from podwire.vnet.http import Handler, Request, Response, not_found

PATH = "/machine/plugins"
_QUERY = {"comp": "nmagent", "type": "getinterfaceinfov1"}


def interface_document(nic: Nic) -> str:
    """The NIC as the wire server's XML: MAC of 12 upper-case hex digits, subnet, all addresses."""
    root = ElementTree.Element("Interfaces")
    mac = nic.mac.replace(":", "").upper()
    interface = ElementTree.SubElement(root, "Interface", MacAddress=mac, IsPrimary="true")
    subnet = ElementTree.SubElement(interface, "IPSubnet", Prefix=nic.subnet.prefix)
    for address in nic.addresses:
        primary = "true" if address == nic.primary else "false"
        ElementTree.SubElement(subnet, "IPAddress", Address=address, IsPrimary=primary)
    return ElementTree.tostring(root, encoding="unicode")


def wire_server(directory: NicDirectory) -> Handler:
    """The web service: each client is told of the NIC that owns its source address."""

    def answer(request: Request) -> Response:
        wanted = {name: request.query.get(name, "").lower() for name in _QUERY}
        if request.path != PATH or wanted != _QUERY:
            return not_found(request)
        if request.method not in ("GET", "HEAD"):
            return Response(405, "Only GET is served here\n", headers={"Allow": "GET, HEAD"})
        host = directory.by_address(request.client)
        if host is None:
            return Response(404, f"No NIC of this VNet owns {request.client}\n")
        return Response(200, interface_document(host.nic), "text/xml; charset=utf-8")

    return answer

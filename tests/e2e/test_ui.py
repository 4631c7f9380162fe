"""The page on a real lab, in a real browser: what a teacher does with it, by mouse and by keys."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys

from tests.browser import browser, ready, until
from tests.e2e.harness import PODWIRE, LabHarness

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers: [{{name: nginx, image: nginx, imagePullPolicy: IfNotPresent}}]
"""


_DRAWN = """(box => box && {class: box.getAttribute('class'),
label: box.getAttribute('aria-label')})(document.querySelector(arguments[0]))"""
_PRESS = """document.querySelector(arguments[0]).querySelector('rect').dispatchEvent(
new MouseEvent('click', {bubbles: true}))"""


class Page:
    """The page in a browser, by what people see in it."""

    def __init__(self, chrome: Chrome, address: str) -> None:
        self.chrome, self.address = chrome, address

    def js(self, code: str, *given: Any) -> Any:
        return self.chrome.execute_script(f"return {code}", *given)

    def drawn(self, object_: str) -> dict[str, str] | None:
        """A thing's box as it is drawn now, its class and label; None while there is none."""
        return self.js(_DRAWN, f'#picture .box[data-object="{object_}"]')

    def until_drawn(self, object_: str, *, off: bool | None = None) -> dict[str, str]:
        """off: drawn as down or not ready, or as well."""

        def look() -> dict[str, str] | None:
            box = self.drawn(object_)
            return box if box and off in (None, "off" in box["class"].split()) else None

        found = until(f"{object_} in the picture, off: {off}", look)
        assert found is not None
        return found

    def press(self, object_: str) -> None:
        """As a pointer does it."""
        self.until_drawn(object_)
        self.js(_PRESS, f'#picture .box[data-object="{object_}"]')

    def text(self, where: str) -> str:
        found = self.chrome.find_elements("css selector", where)
        return found[0].text if found else ""

    def until_text(self, where: str, wanted: str) -> str:
        def look() -> str:
            found = self.text(where)
            return found if wanted in found else ""

        return until(f"{wanted!r} in {where}", look)

    def keys(self, *typed: str) -> None:
        """To whatever has the keyboard."""
        ActionChains(self.chrome).send_keys(*typed).perform()

    def focused(self, property_: str = "id") -> str:
        return str(self.js(f"document.activeElement.{property_}"))

    def close(self) -> None:
        self.js("document.getElementById('close').click()")


@contextmanager
def served(lab: LabHarness) -> Iterator[str]:
    """The page's address; ^C ends its server."""
    argv = [PODWIRE, "ui", "--no-browser"]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=lab.env
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, process.communicate()[1]
        try:
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "^C ends it.\n")


@pytest.fixture(scope="module")
def page(lab: LabHarness) -> Iterator[Page]:
    with served(lab) as address, browser() as chrome:
        ready(chrome, address)
        made = Page(chrome, address)
        until("pods in the search", lambda: made.js("document.querySelector('#senders option')"))
        yield made
        assert not chrome.get_log("browser"), "the browser's console is silent"


@pytest.fixture
def nginx(lab: LabHarness) -> str:
    """One of the document's pods, with its address."""
    return f"default/{lab.pods('run=nginx')[0]['metadata']['name']}"


def test_a_pod_appears_changes_and_goes(lab: LabHarness, page: Page) -> None:
    node = lab.nodes()[0]
    before = page.js("document.querySelectorAll('#picture .box.pod').length")
    lab.apply(POD.format(name="seen", node=node))
    try:
        page.until_drawn("pod default/seen")
        inner = page.until_drawn("link pod/default/seen eth0")
        page.until_drawn("pod default/seen", off=False)
        assert "eth0" in inner["label"]
        assert page.js("document.querySelectorAll('#picture .box.pod').length") == before + 1
        assert "pod default/seen appeared" in page.js("document.getElementById('said').textContent")
        host = lab.on_node(node, "ip -o link show type veth | grep -o 'azv[^@]*' | sort").split()
        mine = [one for one in host if page.drawn(f"link node/{node} {one}")]
        assert mine == host
    finally:
        lab.kubectl("delete", "pod", "seen", "--grace-period=0", "--force", "--wait=false")
    until("it is gone", lambda: page.drawn("pod default/seen") is None)
    assert page.js("document.querySelectorAll('#picture .box.pod').length") == before


def test_a_link_that_is_set_down_is_seen(lab: LabHarness, page: Page) -> None:
    node = lab.nodes()[1]
    link = lab.on_node(node, "ip -o link show type veth | grep -o 'azv[^@]*' | head -1").strip()
    thing = f"link node/{node} {link}"
    try:
        lab.on_node(node, f"ip link set {link} down")
        page.until_drawn(thing, off=True)
    finally:
        lab.on_node(node, f"ip link set {link} up")
    page.until_drawn(thing, off=False)


def test_pressing_a_pod_tells_its_kernel_objects(lab: LabHarness, page: Page, nginx: str) -> None:
    pod = lab.get("pod", nginx.partition("/")[2])
    page.press(f"pod {nginx}")
    said = page.until_text("#panel-body", "Inside: routes")
    assert page.text("#panel-title") == f"pod {nginx}"
    address = pod["status"]["podIP"]
    assert f"inet {address}/24 scope global eth0" in said
    neighbour = lab.on_node(pod["spec"]["nodeName"], f"ip neigh show {address} dev azure0").strip()
    mac = neighbour.split()[2]
    assert f"{address} dev azure0 lladdr {mac} PERMANENT" in said
    assert f"{address} : {mac}" in said, "its element of the MAC NAT"
    assert "KUBE-SEP-" in said
    page.close()


def test_the_add_that_made_a_pod_is_told_line_by_line(
    lab: LabHarness, page: Page, nginx: str
) -> None:
    pod = lab.get("pod", nginx.partition("/")[2])
    log = lab.on_node(pod["spec"]["nodeName"], "cat /var/log/azure-vnet.log")
    page.press(f"pod {nginx}")
    page.until_text("#tabs", "line by line")
    page.js("document.querySelectorAll('#tabs button')[1].click()")
    page.until_text(".steps", "Creating veth pair")
    lines = page.js("[...document.querySelectorAll('.steps .line')].map((one) => one.title)")
    assert len(lines) > 15
    assert "Processing ADD command" in lines[0]
    assert f"Pod:{nginx}" in lines[-1]
    assert all(one in log for one in lines)
    at = next(number for number, one in enumerate(lines) if "Creating veth pair" in one)
    page.js("document.querySelectorAll('.steps .line')[arguments[0]].click()", at)
    until("marked", lambda: page.js("document.querySelector('#picture .marked .veth')"))
    page.close()


def test_a_packet_goes_its_way(page: Page, nginx: str) -> None:
    page.js("document.getElementById('from').value = arguments[0]", nginx)
    page.js("document.getElementById('to').value = 'svc/default/nginx'")
    page.js("document.querySelector('#path .main').click()")
    page.until_text("#panel-body", "It arrives, and its answer comes back.")
    seen = set()

    def arrived() -> bool:
        seen.add(page.js("document.getElementById('packet').getBoundingClientRect().x"))
        return bool(page.js("document.querySelector('.controls .main').textContent === '▶ Play'"))

    until("it has arrived", arrived, 90)
    assert len(seen) > 8, "it moved"
    walked = page.js("document.querySelector('#picture .walked [data-object]').dataset.object")
    assert walked in (f"pod {nginx}", f"link pod/{nginx} eth0") or walked.startswith("link ")
    hops = page.js("[...document.querySelectorAll('.hop')].map((one) => one.innerText)")
    assert [one for one in hops if "DNAT --to-destination" in one]
    page.close()
    assert page.js("document.getElementById('packet').hidden")


def test_a_path_that_leads_nowhere_is_told(page: Page, nginx: str) -> None:
    page.js("document.getElementById('from').value = arguments[0]", nginx)
    page.js("document.getElementById('to').value = 'no-such-pod'")
    page.js("document.querySelector('#path .main').click()")
    assert "no-such-pod is nothing" in page.until_text("#panel-body .sorry", "no-such-pod")
    page.close()
    (said,) = page.chrome.get_log("browser")
    assert "404" in said["message"]


def test_addresses_are_bars(lab: LabHarness, page: Page) -> None:
    for node in lab.status()["nodes"]:
        used, total = node["addresses"]["used"], node["addresses"]["total"]
        said = f"[aria-label*='{node['name']}']"
        until(
            f"{used} used on {node['name']}",
            lambda said=said, used=used, total=total: (
                page.text(f"#use {said} .counts").startswith(f"{used} used")
                and page.text(f"#use {said} .counts").endswith(f"of {total}")
            ),
        )
    assert "subnet" in page.text("#use .subnet .name") or page.text("#use .subnet .range")


def test_everything_by_keyboard(page: Page, nginx: str) -> None:
    page.js("document.activeElement.blur()")
    page.keys("/")
    assert page.focused() == "search"
    page.keys(nginx.partition("/")[2])
    until("found", lambda: page.js("document.querySelector('#found [aria-selected=true]')"))
    page.keys(Keys.ENTER)
    page.until_text("#panel-title", nginx)
    assert page.focused("dataset.object") == f"pod {nginx}", "and the picture has the keyboard"
    assert (
        page.js("getComputedStyle(document.activeElement.querySelector('rect')).strokeWidth")
        == "4.5px"
    )
    page.keys("f")
    assert page.js("document.getElementById('from').value") == f"pod/{nginx}"
    page.keys(Keys.ESCAPE)
    until("closed", lambda: page.js("document.getElementById('panel').hidden"))
    assert page.focused("dataset.object") == f"pod {nginx}"
    page.keys(Keys.ARROW_LEFT)
    here = page.focused("dataset.object")
    assert here != f"pod {nginx}"
    assert page.js("document.querySelectorAll('#picture [tabindex=\"0\"]').length") == 1
    page.keys(Keys.ENTER)
    page.until_text("#panel-body", "Link")
    page.keys(Keys.ESCAPE)
    page.keys("?")
    assert page.js("document.getElementById('help').open")
    page.keys(Keys.ESCAPE)
    assert not page.js("document.getElementById('help').open")
    page.keys("p", Keys.TAB)
    assert page.focused() == "to"


def test_tab_stops_at_every_part(page: Page) -> None:
    page.js("document.activeElement.blur()")
    page.js("window.getSelection().removeAllRanges()")
    stops = []
    for _ in range(40):
        page.keys(Keys.TAB)
        stops.append(page.focused("id") or page.focused("className"))
    for wanted in ("node", "search", "theme", "from", "to"):
        assert wanted in stops
    boxes = [one for one in stops if one.startswith(("vnet:", "pod:", "link:", "node:", "subnet:"))]
    assert boxes, "the picture is a stop"
    assert len(set(boxes)) <= 1, "and one alone"


def test_without_the_token_nothing_is_shown(page: Page) -> None:
    with browser() as other:
        other.get(page.address.partition("#")[0])
        until("it says why", lambda: "token" in other.find_element("id", "problem").text)
        assert not other.find_elements("css selector", "#picture .box")


class Foreign(BaseHTTPRequestHandler):
    """A site elsewhere that knows the address, and even the token."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>foreign</title>")

    def log_message(self, *_: object) -> None:
        pass


FETCH = """
const [url, token, done] = arguments;
const ways = [{headers: {"x-podwire-token": token}}, {mode: "no-cors"}, {}];
Promise.all(ways.map((way) => fetch(url, way).then((a) => a.text(), () => ""))).then(done);
"""


def test_a_foreign_site_gets_nothing(page: Page) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    token, port = page.address.rpartition("=")[2], urlsplit(page.address).port
    try:
        with browser() as other:
            other.get(f"http://localhost:{server.server_port}/")
            for path in ("/api/object?id=x", "/api/events", "/"):
                url = f"http://127.0.0.1:{port}{path}"
                assert other.execute_async_script(FETCH, url, token) == ["", "", ""]
            other.execute_script(
                "const f = document.createElement('iframe'); f.src = arguments[0];"
                "document.body.append(f)",
                page.address,
            )
            until(
                "the frame is refused",
                lambda: any("frame" in one["message"] for one in other.get_log("browser")),
            )
    finally:
        server.shutdown()
        server.server_close()


def test_light_and_dark(page: Page) -> None:
    colours = set()
    for _ in range(3):
        page.js("document.getElementById('theme').click()")
        colours.add(page.js("getComputedStyle(document.querySelector('.box.node rect')).fill"))
    assert len(colours) == 2

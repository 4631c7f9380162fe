"""The page with 10 nodes of 30 pods: frames a second while it moves, by requestAnimationFrame.

    python -m bench.ui             # needs chromium (scripts/test-packages)

Pods come and go on two of the nodes all the time. Meanwhile nothing else is done for some seconds,
then the picture is scrolled, then a packet goes its way. A browser without a screen draws with the
processor alone: what is printed beside the frames is how busy the machine was.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count

from selenium.webdriver import Chrome
from tests.browser import browser, ready, until
from tests.unit.lens.draw import scenes

from podwire.lens.kube_values import Cluster
from podwire.lens.snapshot import Snapshot
from podwire.lens.ui.feed import Feed

NODES, PODS, SECONDS = 10, 30, 6
FRAMES = """
const done = arguments[arguments.length - 1], end = performance.now() + arguments[0] * 1000;
const times = [];
const scroll = arguments[1], stage = document.getElementById("stage");
const frame = (now) => {
  times.push(now);
  if (scroll) stage.scrollTop += 9;
  if (now < end) requestAnimationFrame(frame);
  else done(times.slice(1).map((one, at) => one - times[at]));
};
requestAnimationFrame(frame);
"""


def serve() -> None:
    """The page of a lab where the last pods come and go."""
    from podwire.lens.ui.server import serve as until_ended

    whole = [
        scenes.lab(*(scenes.Made(at, PODS - (2 * less if at < 2 else 0)) for at in range(NODES)))
        for less in (0, 1)
    ]
    turn = count()

    def take(clusters: Sequence[Cluster], nodes: Collection[str] | None) -> Snapshot:
        now = next(turn)
        return replace(whole[now % 2 if now > 2 else 0], taken=time.time())

    until_ended(Feed(take, live=True), 0, lambda address: print(address, flush=True))


def measure(page: Chrome, name: str, *, scroll: bool = False) -> None:
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    spent = sorted(page.execute_async_script(FRAMES, SECONDS, scroll))
    rate = len(spent) / sum(spent) * 1000
    slow = sum(one > 1.5 * 1000 / 60 for one in spent)
    print(
        f"{name:28} {rate:5.1f} frames/s   median {spent[len(spent) // 2]:5.1f} ms   "
        f"p95 {spent[len(spent) * 95 // 100]:5.1f} ms   worst {spent[-1]:6.1f} ms   "
        f"late {slow}/{len(spent)}   load {busy:.1f} per processor"
    )


def path(page: Chrome) -> None:
    """From the first pod to the last: over the whole picture."""
    pods = [one.key for one in scenes.of(PODS, nodes=NODES).clusters[0].pods if one.space]
    for field, value in (("from", pods[0]), ("to", f"{pods[-60]}:80")):
        page.execute_script(
            "document.getElementById(arguments[0]).value = arguments[1]", field, value
        )
    page.execute_script("document.querySelector('#path .main').click()")
    until("hops", lambda: page.execute_script("return document.querySelector('.hop')"))


def main() -> None:
    argv = [sys.executable, "-m", "bench.ui", "serve"]
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        with browser() as page:
            assert server.stdout is not None
            begun = time.monotonic()
            ready(page, server.stdout.readline().strip())
            print(f"first picture of {NODES} x {PODS} pods: {time.monotonic() - begun:.2f} s")
            measure(page, "pods come and go")
            measure(page, "scrolled", scroll=True)
            path(page)
            measure(page, "a packet goes its way")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()

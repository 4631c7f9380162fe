"""Putting `docker` and `crictl` on a node."""

from __future__ import annotations

from pathlib import Path

_LIBRARY = Path("usr/local/lib/podwire")
_MODULES = ("__init__", "client", "text", "options", "logs", "gotemplate", "docker", "crictl")
_SCRIPT = """\
#!/usr/bin/python3 -IS
import sys

sys.path.insert(0, "/{library}")
from nodetools.{name} import main

sys.exit(main(sys.argv[1:]))
"""


def install_node_tools(root: Path, *, docker: bool) -> None:
    """Write `crictl`, and with `docker` also `docker`, into root/usr/local/bin.

    root: the node's root directory, as this process reaches it; what is there is replaced.
    docker: False where the machine has a real client, which then serves the node too.
    """
    package = root / _LIBRARY / "nodetools"
    package.mkdir(parents=True, exist_ok=True)
    for name in _MODULES:
        source = Path(__file__).with_name(f"{name}.py").read_text()
        (package / f"{name}.py").write_text(source)
    bin_directory = root / "usr/local/bin"
    bin_directory.mkdir(parents=True, exist_ok=True)
    for name in ("crictl", "docker") if docker else ("crictl",):
        script = bin_directory / name
        script.unlink(missing_ok=True)  # a link must not be written through
        script.write_text(_SCRIPT.format(library=_LIBRARY, name=name))
        script.chmod(0o755)

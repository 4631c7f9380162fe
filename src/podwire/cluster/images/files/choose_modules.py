"""Run by the image's own interpreter, in a chroot: compile what one of our programs imports.

Arguments: the program's package, then further modules that it imports, also only when needed.

Prints JSON: path in the image -> path in the tree. Modules become byte code without sources, which
is half the size and starts at once; C modules stay as they are. What came from dist-packages goes
beside the standard library, where an isolated interpreter looks.
"""

import importlib
import json
import os
import py_compile
import sys

LIBRARY = os.path.dirname(os.__file__)
PACKAGES = "/usr/lib/python3/dist-packages"
PROGRAM, *MODULES = sys.argv[1:]
# What starts the program, and what Python imports only when it is needed.
NAMES = (*MODULES, "runpy", "site", "linecache", "encodings.idna", "encodings.latin_1")


def place(source: str) -> str:
    """Compile `source`; the place in the tree where its byte code is."""
    compiled = f"/compiled{source}c"
    how = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(source, compiled, dfile=source, doraise=True, invalidation_mode=how)
    return compiled


def chosen() -> dict[str, str]:
    sys.path.append(PACKAGES)
    for name in NAMES:
        importlib.import_module(name)
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    wanted = {one for one in files if one} - {py_compile.__file__}
    wanted.add(f"{LIBRARY}/{PROGRAM}/__main__.py")
    found = {}
    for source in sorted(wanted):
        compiled = not source.endswith(".so")
        target = source.replace(PACKAGES, LIBRARY) + ("c" if compiled else "")
        found[target.lstrip("/")] = (place(source) if compiled else source).lstrip("/")
    return found


sys.stdout.write(json.dumps(chosen()))

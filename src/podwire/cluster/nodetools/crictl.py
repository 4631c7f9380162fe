"""The node's `crictl`: the CRI's view of pods, containers and images, by the Docker API's socket.

Runs on the node under `python3 -IS`: standard library only. `exec` becomes `ctr ... tasks exec`.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from .client import ToolError, fail, get, quoted, run
from .gotemplate import Template
from .logs import SWITCHES, VALUED, print_log
from .options import Options, parse
from .text import human_duration, human_size, table, yaml

HELP = """\
Usage: crictl [--runtime-endpoint X] COMMAND

What the container runtime of this node runs. Ids may be shortened.

Commands:
  pods        List pods: --namespace, -s/--state ready|notready
  ps          List containers: -a all, -p/--pod ID, -s/--state running|exited|created
  inspect     All about containers: -o json|yaml|go-template, --template
  inspectp    All about pods: likewise
  images      List images: -q, --no-trunc
  logs        What a container wrote: -f follow, --tail N, -t/--timestamps, --since
  exec        Run a command in a container: -i stdin, -t terminal
  stats       What the running containers use
  info        The runtime's status and configuration
  version     The runtime's version
Each list takes -o table|json|yaml, -q, --no-trunc; pods and ps also --name, --label, -n N.

Examples:
  crictl ps --name nginx
  crictl inspect -o go-template --template '{{.info.pid}}' 8bdb2bd78165
  crictl exec -it 8bdb2bd78165 sh
"""
_INSTEAD = {
    **dict.fromkeys(("run", "runp", "create", "start"), "kubectl apply, or kubectl run"),
    **dict.fromkeys(("stop", "stopp", "rm", "rmp", "update"), "kubectl delete pod"),
    **dict.fromkeys(("pull", "rmi"), "ctr -n k8s.io images"),
    "attach": "kubectl attach",
    "port-forward": "kubectl port-forward",
}
_ENDPOINTS = ("-r", "--runtime-endpoint", "-i", "--image-endpoint", "-t", "--timeout")
"""Flags before the command: accepted, as people have them in their fingers; there is one socket."""
_OUTPUT = {"-o": "output", "--output": "output"}
_LIST = {"-q": "quiet", "--quiet": "quiet", "--no-trunc": "no_trunc"}
_SELECT = {
    **_OUTPUT,
    "--name": "name",
    "--label": "label",
    "-s": "state",
    "--state": "state",
    "-n": "last",
    "--last": "last",
}
_LATEST = {"-l": "latest", "--latest": "latest", "-v": "verbose", "--verbose": "verbose"}
_SAMPLE = 1.0
"""Seconds between the two samples of which `stats` computes the use of the processors."""


def main(argv: Sequence[str]) -> int:
    words = list(argv)
    while words and words[0].partition("=")[0] in _ENDPOINTS:
        words = words[1:] if "=" in words[0] else words[2:]
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(HELP)
        return 0
    name, rest = words[0], words[1:]
    if name != "exec" and {"--help", "-h"} & set(rest):
        sys.stdout.write(HELP)
        return 0
    if name in _INSTEAD:
        return fail(f"crictl {name}: this crictl only looks. Instead: {_INSTEAD[name]}")
    if name not in COMMANDS:
        return fail(f"crictl: unknown command {name!r}. See 'crictl --help'")
    return run(lambda: COMMANDS[name](rest), "crictl: ")


def _document(what: str) -> Any:
    return get(f"/podwire/cri/{what}")


def _print(value: Any, form: str) -> None:
    if form == "json":
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    elif form == "yaml":
        sys.stdout.write(yaml(value))
    else:
        raise ToolError(f"output {form!r} is not one of table, json, yaml")


def _list(
    name: str,
    items: list[dict[str, Any]],
    options: Options,
    columns: dict[str, Callable[[Any], str]],
) -> int:
    """The list as ids, as the runtime's JSON or YAML, or as a table of these columns."""
    form = options.get("output", "table")
    if "quiet" in options:
        sys.stdout.write("".join(f"{one['id']}\n" for one in items))
    elif form != "table":
        _print({name: items}, form)
    else:
        rows = [list(columns), *([cell(one) for cell in columns.values()] for one in items)]
        sys.stdout.write(table(rows, width=20))
    return 0


def _selected(items: list[dict[str, Any]], options: Options) -> list[dict[str, Any]]:
    """Those of that name (a regular expression) and those labels; newest first, cut to --last."""
    labels = dict(one.partition("=")[::2] for one in options.all("label"))
    try:
        name = re.compile(options.get("name"))
    except re.error as error:
        raise ToolError(
            f"--name {options.get('name')!r} is no regular expression: {error}"
        ) from None
    found = [
        one
        for one in items
        if name.search(one["metadata"]["name"]) and labels.items() <= one["labels"].items()
    ]
    found.sort(key=lambda one: -int(one["createdAt"]))
    last = "1" if "latest" in options else options.get("last")
    if last and not last.isdigit():
        raise ToolError(f"--last {last!r} is no number")
    return found[: int(last)] if last and last != "0" else found


def _ago(one: Any) -> str:
    return f"{human_duration(time.time() - int(one['createdAt']) / 1e9)} ago"


def _short(text: str, options: Options) -> str:
    text = text.removeprefix("sha256:")
    return text if "no_trunc" in options else text[:13]


def _pods(words: Sequence[str]) -> int:
    valued = {**_SELECT, "--namespace": "namespace", "--id": "id"}
    options = parse(words, {**_LIST, **_LATEST}, valued)
    state, namespace = options.get("state").lower(), options.get("namespace")
    items = [
        one
        for one in _selected(_document("pods")["items"], options)
        if not state or one["state"] == f"SANDBOX_{state.upper()}"
        if not namespace or re.search(namespace, one["metadata"]["namespace"])
        if one["id"].startswith(options.get("id"))
    ]
    states = {"SANDBOX_READY": "Ready", "SANDBOX_NOTREADY": "NotReady"}
    columns: dict[str, Callable[[Any], str]] = {
        "POD ID": lambda one: _short(one["id"], options),
        "CREATED": _ago,
        "STATE": lambda one: states.get(one["state"], one["state"]),
        "NAME": lambda one: str(one["metadata"]["name"]),
        "NAMESPACE": lambda one: str(one["metadata"]["namespace"]),
        "ATTEMPT": lambda one: str(one["metadata"]["attempt"]),
        "RUNTIME": lambda one: one["runtimeHandler"] or "(default)",
    }
    return _list("items", items, options, columns)


def _ps(words: Sequence[str]) -> int:
    switches = {**_LIST, **_LATEST, "-a": "all", "--all": "all"}
    options = parse(words, switches, {**_SELECT, "-p": "pod", "--pod": "pod", "--id": "id"})
    state = options.get("state").lower()
    if not state and not {"all", "latest", "last"} & set(options.values):
        state = "running"
    items = [
        one
        for one in _selected(_document("containers")["containers"], options)
        if not state or one["state"] == f"CONTAINER_{state.upper()}"
        if one["podSandboxId"].startswith(options.get("pod"))
        if one["id"].startswith(options.get("id"))
    ]
    columns: dict[str, Callable[[Any], str]] = {
        "CONTAINER": lambda one: _short(one["id"], options),
        "IMAGE": lambda one: _short_image(one["image"]["image"], options),
        "CREATED": _ago,
        "STATE": lambda one: one["state"].removeprefix("CONTAINER_").capitalize(),
        "NAME": lambda one: str(one["metadata"]["name"]),
        "ATTEMPT": lambda one: str(one["metadata"]["attempt"]),
        "POD ID": lambda one: _short(one["podSandboxId"], options),
        "POD": lambda one: one["labels"].get("io.kubernetes.pod.name", "unknown"),
    }
    return _list("containers", items, options, columns)


def _short_image(image: str, options: Options) -> str:
    return _short(image, options) if image.startswith("sha256:") else image


def _images(words: Sequence[str]) -> int:
    options = parse(words, {**_LIST, **_LATEST, "--digests": "digests"}, _OUTPUT)
    wanted = options.rest[0] if options.rest else ""
    items = [
        one
        for one in _document("images")["images"]
        if wanted in one["id"] or any(wanted in tag for tag in one["repoTags"])
    ]
    items.sort(key=_tag)
    columns: dict[str, Callable[[Any], str]] = {
        "IMAGE": lambda one: _tag(one)[0],
        "TAG": lambda one: _tag(one)[2],
        "IMAGE ID": lambda one: _short(one["id"], options),
        "SIZE": lambda one: human_size(int(one["size"])),
    }
    return _list("images", items, options, columns)


def _tag(one: Any) -> tuple[str, str, str]:
    if one["repoTags"]:
        return str(one["repoTags"][0]).rpartition(":")
    name = one["repoDigests"][0].partition("@")[0] if one["repoDigests"] else "<none>"
    return name, ":", "<none>"


def _inspect(words: Sequence[str], what: str) -> int:
    options = parse(
        words, {"-q": "quiet", "--quiet": "quiet"}, {**_OUTPUT, "--template": "template"}
    )
    if not options.rest:
        raise ToolError(
            f"{what} needs an id; `crictl {'pods' if what == 'inspectp' else 'ps'}` lists"
        )
    form = options.get("output", "go-template" if "template" in options else "json")
    for asked in options.rest:
        document = _document(f"{what}/{quoted(asked)}")
        if form == "go-template":
            sys.stdout.write(Template(options.get("template")).render(document) + "\n")
        else:
            _print(document, form)
    return 0


def _container(asked: str) -> dict[str, Any]:
    """The container whose id begins so. Raises ToolError."""
    found = [one for one in _document("containers")["containers"] if one["id"].startswith(asked)]
    if len(found) != 1 or not asked:
        problem = "several containers begin with" if found else "no container of id"
        raise ToolError(f"{problem} {asked!r}; `crictl ps -a` lists them")
    one: dict[str, Any] = found[0]
    return one


def _logs(words: Sequence[str]) -> int:
    options = parse(words, SWITCHES, VALUED)
    if not options.rest:
        raise ToolError("logs needs a container's id; `crictl ps -a` lists them")
    print_log(_container(options.rest[0])["id"], options)
    return 0


def _exec(words: Sequence[str]) -> int:
    if {"--help", "-h"} & set(words[:1]):
        sys.stdout.write(HELP)
        return 0
    switches = {"-i": "stdin", "--interactive": "stdin", "-t": "tty", "--tty": "tty"}
    switches |= {"-s": "sync", "--sync": "sync"}
    options = parse(words, switches, {}, until_word=True)
    command = options.rest[2:] if options.rest[1:2] == ["--"] else options.rest[1:]
    if not command:
        raise ToolError("exec needs a container's id and a command, as in crictl exec -it ID sh")
    one = _container(options.rest[0])
    if one["state"] != "CONTAINER_RUNNING":
        raise ToolError(f"container {one['id'][:13]} does not run; `crictl ps` lists those that do")
    if "tty" in options and not os.isatty(0):
        raise ToolError("the input is no terminal; leave out -t")
    if "stdin" not in options and "tty" not in options:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    terminal = ["-t"] if "tty" in options else []
    name = f"crictl-{os.urandom(8).hex()}"
    argv = [
        "ctr",
        "-n",
        "k8s.io",
        "tasks",
        "exec",
        "--exec-id",
        name,
        *terminal,
        one["id"],
        *command,
    ]
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        raise ToolError(f"cannot run ctr ({error.strerror}); is it on the PATH?") from None


def _stats(words: Sequence[str]) -> int:
    options = parse(words, {"-a": "all", "--all": "all"}, _OUTPUT)
    wanted = options.rest[0] if options.rest else ""
    before = {one["attributes"]["id"]: one for one in _document("stats")["stats"]}
    if (form := options.get("output", "table")) != "table":
        _print({"stats": list(before.values())}, form)
        return 0
    time.sleep(_SAMPLE)
    rows = [
        _stats_row(one, before[identity])
        for one in _document("stats")["stats"]
        if (identity := one["attributes"]["id"]).startswith(wanted) and identity in before
    ]
    rows.insert(0, ["CONTAINER", "NAME", "CPU %", "MEM", "DISK", "INODES"])
    sys.stdout.write(table(rows, width=20))
    return 0


def _stats_row(one: dict[str, Any], before: dict[str, Any]) -> list[str]:
    used = _number(one, "cpu", "usageCoreNanoSeconds") - _number(
        before, "cpu", "usageCoreNanoSeconds"
    )
    span = int(one.get("cpu", {}).get("timestamp", 0)) - int(
        before.get("cpu", {}).get("timestamp", 0)
    )
    return [
        one["attributes"]["id"][:13],
        str(one["attributes"]["metadata"]["name"]),
        f"{100 * used / span:.2f}" if span > 0 else "0.00",
        human_size(_number(one, "memory", "workingSetBytes"), 4),
        human_size(_number(one, "writableLayer", "usedBytes"), 4),
        str(_number(one, "writableLayer", "inodesUsed")),
    ]


def _number(one: dict[str, Any], group: str, name: str) -> int:
    """A counter that protobuf wraps in {"value": "1"}, and leaves out when it is not known."""
    return int(((one.get(group) or {}).get(name) or {}).get("value", 0))


def _info(words: Sequence[str]) -> int:
    options = parse(
        words, {"-q": "quiet", "--quiet": "quiet"}, {**_OUTPUT, "--template": "template"}
    )
    if options.get("output") == "go-template" or "template" in options:
        sys.stdout.write(Template(options.get("template")).render(_document("info")) + "\n")
        return 0
    _print(_document("info"), options.get("output", "json"))
    return 0


def _version(words: Sequence[str]) -> int:
    options = parse(words, {}, _OUTPUT)
    found = _document("version")
    if form := options.get("output"):
        _print(found, form)
        return 0
    for name in ("version", "runtimeName", "runtimeVersion", "runtimeApiVersion"):
        sys.stdout.write(f"{name[0].upper() + name[1:]}:  {found[name]}\n")
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "pods": _pods,
    "ps": _ps,
    "images": _images,
    "image": _images,
    "inspect": lambda words: _inspect(words, "inspect"),
    "inspectp": lambda words: _inspect(words, "inspectp"),
    "logs": _logs,
    "exec": _exec,
    "stats": _stats,
    "info": _info,
    "version": _version,
}

"""The node's `docker` where the machine has no real client: what only looks, of its commands.

Runs on the node under `python3 -IS`: standard library only.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from .client import ToolError, fail, get, quoted, run, target
from .gotemplate import Template
from .logs import SWITCHES, VALUED, print_log
from .options import Options, parse
from .text import ellipsis, human_duration, human_size, table

HELP = """\
Usage: docker COMMAND

The containers of this node, which containerd runs for the kubelet. This command only looks.

Commands:
  ps          List containers: -a all, -q ids only, -l latest, -n N, --no-trunc,
              -f/--filter name=|id=|status=|label=|ancestor=, --format TEMPLATE
  inspect     All about containers or images: -f/--format '{{ .State.Pid }}'
  logs        What a container wrote: -f follow, -n/--tail N, -t/--timestamps, --since, --until
  top         The processes of a container
  images      List images: -q, --no-trunc
  info        About this node
  version     Versions of this command and of the API

Examples:
  docker ps | grep nginx
  docker inspect --format '{{ .State.Pid }}' 8bdb2bd78165
  sudo nsenter -t PID -n ip addr

To change things use kubectl; to run a command in a container, kubectl exec or crictl exec.
"""
_INSTEAD = {
    "exec": "kubectl exec -it POD -- COMMAND, or crictl exec -it ID COMMAND",
    "attach": "kubectl attach POD",
    "cp": "kubectl cp",
    "run": "kubectl run, or kubectl apply",
    "create": "kubectl apply",
    "start": "kubectl apply",
    "restart": "kubectl rollout restart",
    "pull": "ctr -n k8s.io images pull",
    "stats": "crictl stats",
    **dict.fromkeys(("rm", "stop", "kill", "pause", "unpause"), "kubectl delete pod"),
    **dict.fromkeys(("rmi", "tag", "save", "load", "import", "push"), "ctr -n k8s.io images"),
    **dict.fromkeys(("network", "volume", "system", "build", "login", "compose"), "kubectl"),
    **dict.fromkeys(("events", "port", "wait", "update", "rename", "diff", "commit"), "kubectl"),
}
_FORMAT = {"-f": "format", "--format": "format"}
_NO_TRUNC = {"-q": "quiet", "--quiet": "quiet", "--no-trunc": "no_trunc"}


def main(argv: Sequence[str]) -> int:
    words = list(argv)
    if words[:1] and words[0] in ("container", "image") and len(words) > 1:
        words = _management(words)
    if not words or words[0] in ("-h", "--help", "help") or "--help" in words[1:]:
        sys.stdout.write(HELP)
        return 0
    name, rest = words[0], words[1:]
    if name in ("-v", "--version"):
        sys.stdout.write("Docker version podwire (a read-only client of this node)\n")
        return 0
    if name in _INSTEAD:
        return fail(f"docker {name}: this docker only looks. Instead: {_INSTEAD[name]}")
    if name not in COMMANDS:
        return fail(f"docker: '{name}' is not a docker command here.\nSee 'docker --help'")
    return run(lambda: COMMANDS[name](rest), of_api="Error response from daemon: ")


def _management(words: list[str]) -> list[str]:
    """`docker container ls` is `docker ps`, `docker image ls` is `docker images`."""
    group, name, *rest = words
    if name in ("ls", "list", "ps"):
        return ["ps" if group == "container" else "images", *rest]
    return [name, *rest]


def _ps(words: Sequence[str]) -> int:
    options = parse(
        words,
        {**_NO_TRUNC, "-a": "all", "--all": "all", "-l": "latest", "--latest": "latest"},
        {
            "-f": "filter",
            "--filter": "filter",
            "--format": "format",
            "-n": "last",
            "--last": "last",
        },
    )
    _only_flags("ps", options)
    filters: dict[str, list[str]] = {}
    for one in options.all("filter"):
        name, equals, value = one.partition("=")
        if not equals:
            raise ToolError(f"invalid filter {one!r}: name=value, as in name=nginx")
        filters.setdefault(name, []).append(value)
    path = target(
        "/containers/json",
        all="1" if "all" in options else "",
        limit="1" if "latest" in options else options.get("last"),
        filters=json.dumps(filters) if filters else "",
    )
    full = "no_trunc" in options
    rows = [_ps_row(one, full=full) for one in get(path)]
    if "quiet" in options:
        sys.stdout.write("".join(f"{row['ID']}\n" for row in rows))
    else:
        _show(rows, options.get("format"), _PS_COLUMNS)
    return 0


_PS_COLUMNS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "Ports": "PORTS",
    "Names": "NAMES",
}
_IMAGE_COLUMNS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "Size": "SIZE",
}


def _ps_row(one: dict[str, Any], *, full: bool) -> dict[str, Any]:
    """What a template may name, of one element of /containers/json."""
    labels = one["Labels"] or {}
    command = one["Command"] if full else ellipsis(one["Command"], 20)
    created = time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(one["Created"]))
    return {
        "ID": one["Id"] if full else one["Id"][:12],
        "Image": one["Image"] if full else _short_image(one["Image"]),
        "Command": f'"{command}"',
        "CreatedAt": created,
        "RunningFor": f"{human_duration(time.time() - one['Created'])} ago",
        "State": one["State"],
        "Status": one["Status"],
        "Ports": "",
        "Names": ",".join(name.removeprefix("/") for name in one["Names"]),
        "Size": "0B",
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        "Label": lambda name: labels.get(name, ""),
        "Mounts": ",".join(mount["Source"] for mount in one["Mounts"]),
        "Networks": ",".join(one["NetworkSettings"]["Networks"]),
        "LocalVolumes": "0",
    }


def _short_image(name: str) -> str:
    return name.removeprefix("sha256:")[:12] if name.startswith("sha256:") else name.split("@")[0]


def _show(rows: list[dict[str, Any]], form: str, columns: dict[str, str]) -> None:
    """Rows as the table, or as a template says; `table TEMPLATE` has a heading of its own."""
    form = form.replace("\\t", "\t").replace("\\n", "\n")
    if form in ("", "table"):
        lines = [list(columns.values()), *([row[name] for name in columns] for row in rows)]
        sys.stdout.write(table(lines, width=10))
    elif form == "json":
        template = Template("{{json .}}\n")
        sys.stdout.write("".join(map(template.render, rows)))
    elif form.startswith("table "):
        template = Template(form.removeprefix("table ").strip())
        names = {one: re.sub(r"(?<=[a-z])(?=[A-Z])", " ", one).upper() for one in (rows or [{}])[0]}
        texts = [
            template.render({**names, **columns, "Label": str.upper}),
            *map(template.render, rows),
        ]
        sys.stdout.write(table([text.split("\t") for text in texts], width=10))
    else:
        template = Template(form)
        sys.stdout.write("".join(f"{template.render(row)}\n" for row in rows))


def _only_flags(name: str, options: Options) -> None:
    if options.rest:
        raise ToolError(f'"docker {name}" accepts no arguments; see docker --help')


def _inspect(words: Sequence[str]) -> int:
    options = parse(words, {"-s": "size", "--size": "size"}, {**_FORMAT, "--type": "type"})
    if not options.rest:
        raise ToolError('"docker inspect" requires at least 1 argument: an id or a name')
    form = options.get("format")
    template = Template(form) if form and form != "json" else None
    found, errors = [], []
    for asked in options.rest:
        try:
            found.append(_object(asked, options.get("type")))
        except ToolError as error:
            if error.status != 404:
                raise
            errors.append(f"Error: No such {options.get('type', 'object')}: {asked}")
    if template is not None:
        sys.stdout.write("".join(f"{template.render(one)}\n" for one in found))
    else:
        layout: Any = {"separators": (",", ":")} if form else {"indent": 4}
        sys.stdout.write(json.dumps(found, ensure_ascii=False, **layout) + "\n")
    return fail("\n".join(errors)) if errors else 0


def _object(asked: str, kind: str) -> Any:
    """A container of that id or name, else an image. Raises ToolError, its status 404 for none."""
    if kind != "image":
        try:
            return get(f"/containers/{quoted(asked)}/json")
        except ToolError as error:
            if error.status != 404 or kind == "container":
                raise
    return get(f"/images/{quoted(asked)}/json")


def _one(words: Sequence[str], name: str) -> str:
    if not words:
        raise ToolError(f'"docker {name}" requires a container: its id or its name')
    return quoted(words[0])


def _logs(words: Sequence[str]) -> int:
    options = parse(words, SWITCHES, VALUED)
    print_log(_one(options.rest, "logs"), options)
    return 0


def _top(words: Sequence[str]) -> int:
    container = _one(words, "top")
    answer = get(target(f"/containers/{container}/top", ps_args=" ".join(words[1:])))
    sys.stdout.write(table([answer["Titles"], *answer["Processes"]], width=20))
    return 0


def _images(words: Sequence[str]) -> int:
    options = parse(words, {**_NO_TRUNC, "-a": "all", "--all": "all"}, {"--format": "format"})
    rows = [
        _image_row(one, tag, full="no_trunc" in options)
        for one in get("/images/json")
        for tag in one["RepoTags"] or ["<none>:<none>"]
        if not options.rest or options.rest[0] in (tag, tag.rpartition(":")[0])
    ]
    if "quiet" in options:
        sys.stdout.write("".join(f"{row['ID']}\n" for row in rows))
    else:
        _show(rows, options.get("format"), _IMAGE_COLUMNS)
    return 0


def _image_row(one: dict[str, Any], tag: str, *, full: bool) -> dict[str, Any]:
    repository, _, version = tag.rpartition(":")
    since = f"{human_duration(time.time() - one['Created'])} ago" if one["Created"] else "N/A"
    return {
        "Repository": repository,
        "Tag": version,
        "ID": one["Id"] if full else one["Id"].removeprefix("sha256:")[:12],
        "CreatedSince": since,
        "Size": human_size(one["Size"]),
    }


def _info(words: Sequence[str]) -> int:
    options = parse(words, {}, _FORMAT)
    info = get("/info")
    if form := options.get("format"):
        sys.stdout.write(Template("{{json .}}" if form == "json" else form).render(info) + "\n")
        return 0
    sys.stdout.write("Server:\n")
    for name in _INFO_LINES:
        sys.stdout.write(f" {re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', name)}: {info[name]}\n")
    return fail("\n".join(info["Warnings"]), 0)


_INFO_LINES = (
    "Name",
    "Containers",
    "ContainersRunning",
    "ContainersStopped",
    "Images",
    "ServerVersion",
    "Driver",
    "CgroupDriver",
    "KernelVersion",
    "OperatingSystem",
    "Architecture",
    "NCPU",
    "MemTotal",
    "DockerRootDir",
)


def _version(words: Sequence[str]) -> int:
    options = parse(words, {}, _FORMAT)
    server = get("/version")
    both = {"Client": {"Version": "podwire", "ApiVersion": server["ApiVersion"]}, "Server": server}
    if form := options.get("format"):
        sys.stdout.write(Template("{{json .}}" if form == "json" else form).render(both) + "\n")
        return 0
    rows = [
        ("Version:", server["Version"]),
        ("API version:", f"{server['ApiVersion']} (minimum version {server['MinAPIVersion']})"),
        ("OS/Arch:", f"{server['Os']}/{server['Arch']}"),
    ]
    host = os.environ.get("DOCKER_HOST", "this node")
    sys.stdout.write(f"Client: Podwire's read-only docker, of {host}\n\n")
    sys.stdout.write(f"Server: {server['Platform']['Name']}\n")
    sys.stdout.write("".join(f" {name:<18}{value}\n" for name, value in rows))
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "ps": _ps,
    "inspect": _inspect,
    "logs": _logs,
    "top": _top,
    "images": _images,
    "info": _info,
    "version": _version,
}

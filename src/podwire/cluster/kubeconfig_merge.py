"""Adding a lab to somebody's kubeconfig and taking it out again, as functions on the document.

What is ours carries an extension `podwire` with the lab's name, which kubectl keeps when it
rewrites the file. The cluster's extension also remembers what was there before, so that removing
needs nothing but the file. Everything foreign is kept: entries, order, unknown fields. No I/O.
Source: Kubernetes, "kubeconfig (v1)"; minikube marks its entries in the same way.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from podwire.cluster.kubeconfig import Document
from podwire.model.errors import InvalidInputError

MARK = "podwire"
_SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}
_CURRENT = "current-context"


@dataclass(frozen=True, slots=True)
class LabEntry:
    """What is added for a lab. cluster, credentials: the bodies of a cluster and a user entry.

    context is also the cluster's name.
    """

    lab: str
    context: str
    user: str
    cluster: Document
    credentials: Document

    def names(self) -> dict[str, str]:
        return {"clusters": self.context, "users": self.user, "contexts": self.context}


def merged(document: Document, entry: LabEntry, origin: Document | None = None) -> Document:
    """A copy of `document` with the lab's cluster, user and context, which is made current.

    What an earlier merge of this lab left is replaced. origin: facts about the file, kept for
    `removed` to hand back. Raises InvalidInputError when a name is somebody else's.
    """
    before = _context_body(document, entry.lab)
    result, record = removed(document, entry.lab)
    _refuse_foreign(result, entry)
    remembered: Document = {
        "lab": entry.lab,
        "context": entry.context,
        "lists": {one: _shape(result, one) for one in _SECTIONS},
        "origin": (record or {}).get("origin") or origin or {},
    }
    if _CURRENT in result:
        remembered["previousContext"] = result[_CURRENT]
    context = {"cluster": entry.context, "user": entry.user}
    if "namespace" in before:
        context["namespace"] = before["namespace"]
    bodies = {"clusters": entry.cluster, "users": entry.credentials, "contexts": context}
    for section, kind in _SECTIONS.items():
        mark = remembered if section == "clusters" else {"lab": entry.lab}
        body = {**bodies[section], "extensions": [{"name": MARK, "extension": mark}]}
        rest = _entries(result, section)
        result[section] = [*rest, {"name": entry.names()[section], kind: body}]
    result[_CURRENT] = entry.context
    return result


def removed(document: Document, lab: str) -> tuple[Document, Document | None]:
    """A copy of `document` without the lab, and what its merge remembered (None: it was not there).

    The context that was current before is so again, unless another one was chosen meanwhile.
    """
    result = copy.deepcopy(document)
    record = next((one for one in _records(result) if one.get("lab") == lab), None)
    ours = {one.get("name") for one in _entries(result, "contexts") if _lab(one, "context") == lab}
    for section, kind in _SECTIONS.items():
        have = _entries(result, section)
        keep = [one for one in have if _lab(one, kind) != lab]
        if len(keep) < len(have):
            _set_list(result, section, keep, (record or {}).get("lists", {}).get(section))
    if record is None:
        return result, None
    ours.add(record.get("context"))
    if result.get(_CURRENT) in ours and _CURRENT in result:
        _restore_current(result, record)
    for other in _records(result):
        _inherit(other, record, ours)
    return result, record


def labs(document: Document) -> list[str]:
    """The labs that are in it."""
    return [str(one.get("lab")) for one in _records(document)]


def is_bare(document: Document) -> bool:
    """Whether nothing is in it that anybody could miss."""
    return not any(value for name, value in document.items() if name not in ("apiVersion", "kind"))


def _context_body(document: Document, lab: str) -> Document:
    ours = (one for one in _entries(document, "contexts") if _lab(one, "context") == lab)
    return next((_body(one, "context") for one in ours), {})


def _refuse_foreign(document: Document, entry: LabEntry) -> None:
    for section, name in entry.names().items():
        kind = _SECTIONS[section]
        for one in _entries(document, section):
            if isinstance(one, dict) and one.get("name") == name:
                raise InvalidInputError(
                    f"a {kind} named {name!r} exists and is not this lab's (context "
                    f"{entry.context!r}); remove it with `kubectl config delete-{kind} {name}`, "
                    "or keep it and give the lab its own kubeconfig: KUBECONFIG=FILE podwire up"
                )


def _entries(document: Document, section: str) -> list[Any]:
    value = document.get(section)
    if value is not None and not isinstance(value, list):
        raise InvalidInputError(f"{section!r} is no list; correct the file or move it away")
    return value or []


def _body(one: Any, kind: str) -> Document:
    body = one.get(kind) if isinstance(one, dict) else None
    return body if isinstance(body, dict) else {}


def _mark(one: Any, kind: str) -> Document | None:
    extensions = _body(one, kind).get("extensions")
    for extension in extensions if isinstance(extensions, list) else ():
        if isinstance(extension, dict) and extension.get("name") == MARK:
            value = extension.get("extension")
            return value if isinstance(value, dict) else None
    return None


def _lab(one: Any, kind: str) -> Any:
    return (_mark(one, kind) or {}).get("lab")


def _records(document: Document) -> Iterator[Document]:
    marks = (_mark(one, "cluster") for one in _entries(document, "clusters"))
    return (one for one in marks if one is not None)


def _shape(document: Document, section: str) -> str:
    if section not in document:
        return "absent"
    return "null" if document[section] is None else "list"


def _set_list(document: Document, section: str, entries: list[Any], shape: str | None) -> None:
    document[section] = None if shape == "null" and not entries else entries
    if shape == "absent" and not entries:
        del document[section]


def _restore_current(document: Document, record: Document) -> None:
    if "previousContext" in record:
        document[_CURRENT] = record["previousContext"]
    else:
        del document[_CURRENT]


def _inherit(other: Document, record: Document, gone: set[Any]) -> None:
    """Another lab that was merged on top of the removed one now stands on what that stood on."""
    if other.get("previousContext") in gone:
        other.pop("previousContext", None)
        if "previousContext" in record:
            other["previousContext"] = record["previousContext"]
    shapes = {name: shape for name, shape in record.get("lists", {}).items() if shape != "list"}
    other["lists"] = {**other.get("lists", {}), **shapes}
    other["origin"] = {**other.get("origin", {}), **record.get("origin", {})}

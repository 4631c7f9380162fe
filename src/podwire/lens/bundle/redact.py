"""Taking secrets out of text and of JSON, whatever wrote it. Pure.

Better too much than too little: what is named like a secret or looks like one goes. Known forms:
PEM, JSON Web Tokens, bootstrap tokens, Authorization headers, Azure's shared access signatures and
account keys, kubeconfigs, VM extensions' protectedSettings, data of Secrets, environments (JSON,
YAML, Go's printed structs as kubelet logs them), passwords in URLs.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from podwire.lens.bundle.blocks import remove_blocks

MARK = "[removed]"
_NAMES = (
    r"token|passw(?:or)?d|pwd|passphrase|(?<!v1\.)secret"
    r"|(?:api|access|account|shared|private)[-_ ]?key"
    r"|client-key-data|client-certificate-data|connection[-_]?string|shared_?access_?signature"
    r"|shared_?access_?key|protected_?settings|credentials?|dockerconfigjson|dockercfg"
    r"|(?<![a-z])auth(?=\\*[\"']|$)"
)
_QUOTED = r"(?P<quote>\\*[\"'])(?:(?!(?<!\\)(?P=quote)).)*(?:(?<!\\)(?P=quote)|$)"
_FOLDED = r"[|>][-+0-9]*[ \t]*(?:\n[ \t]+\S+)+"
_NOT_YET = r"(?!\\*[\"']?\[removed\])"
_END = r"(?:\\*[\"'])?"
_KEY = re.compile(rf"(?:{_NAMES})$", re.I)
_ENVIRONMENT = re.compile(r"envs?|environment", re.I)
_SECRET_DATA = ("data", "stringData")

_RULES: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "private key",
        re.compile(r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.S),
        MARK,
    ),
    (
        "private key",  # whose begin was cut off
        re.compile(r"\A.*?-----END [A-Z0-9 ]*PRIVATE KEY-----", re.S),
        MARK,
    ),
    ("encoded PEM", re.compile(r"LS0tLS1CRUdJTi[\w+/=-]+"), MARK),
    ("password in a URL", re.compile(r"(?<=://)[^\s/@:\"']*:[^\s/@\"']+(?=@)"), MARK),
    (
        "authorization header",
        re.compile(
            r"((?:authorization(?:-auxiliary)?|(?<![a-z])cookie|x-[a-z-]{1,30}-(?:key|token))"
            rf"{_END}\s*[:=]\s*+[\"'\\\[]*+)(?!\[?removed\])[^\r\n\"'\\\]}}]+",
            re.I,
        ),
        rf"\1{MARK}",
    ),
    ("token", re.compile(rf"\b(bearer\s+){_NOT_YET}[\w.~+/=-]{{8,}}", re.I), rf"\1{MARK}"),
    ("token", re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"), MARK),
    ("token", re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b"), MARK),
    ("SAS signature", re.compile(r"(?<![a-z])(sig=)[^&\s\"'\\]+", re.I), rf"\1{MARK}"),
    ("account key", re.compile(r"(?<![\w+/])[A-Za-z0-9+/]{86}=="), MARK),
    ("environment", re.compile(r"(EnvVar\{Name:[^,]*,Value:).*?(,ValueFrom:)"), rf"\1{MARK}\2"),
    (
        "environment",
        re.compile(r"^([ \t]*)((?:- )?value:)[^\n]*(?:\n\1[ \t]+[^\n]*)*", re.M),
        rf"\1\2 {MARK}",
    ),
    (
        "password",
        re.compile(
            rf"((?:passw(?:or)?d|passphrase|pwd):[ \t]+){_NOT_YET}(?![\"'\\|>])[^\n]+", re.I
        ),
        rf"\1{MARK}",
    ),
    (
        "named secret",
        re.compile(
            rf"((?:{_NAMES}){_END}[ \t]*[:=][ \t]*){_NOT_YET}"
            rf"(?:{_QUOTED}|{_FOLDED}|[^\s\"'\\{{\[][^\s\"'\\]*)",
            re.I | re.M,
        ),
        rf"\1{MARK}",
    ),
    (
        "named secret",
        re.compile(rf"(--[a-z-]*(?:token|password|secret)[ \t]+){_NOT_YET}[^\s-]\S*", re.I),
        rf"\1{MARK}",
    ),
)


def redact(text: str) -> tuple[str, Counter[str]]:
    """The text without secrets, and how many of which kind there were."""
    removed: Counter[str] = Counter()
    text = remove_blocks(text, MARK, removed)
    for kind, pattern, instead in _RULES:
        text, times = pattern.subn(instead, text)
        if times:
            removed[kind] += times
    return text, removed


def redact_json(text: str) -> tuple[str, Counter[str]]:
    """The same of a JSON document, which stays one: its strings are looked at one by one.

    Raises ValueError for what is no JSON.
    """
    removed: Counter[str] = Counter()
    value = _value(json.loads(text), "", removed)
    return json.dumps(value, separators=(",", ":")), removed


def _value(value: Any, secret: str, removed: Counter[str]) -> Any:
    """secret: what everything below is, "" when it is none."""
    if isinstance(value, Mapping):
        of_secret = value.get("kind") == "Secret"
        return {
            key: _value(one, secret or _kind(key, of_secret), removed) for key, one in value.items()
        }
    if isinstance(value, list):
        return [_value(one, secret, removed) for one in value]
    if not isinstance(value, str) or not value:
        return value
    if secret:
        removed[secret] += 1
        return MARK
    said, found = redact(value)
    removed.update(found)
    return said


def _kind(key: str, of_secret: bool) -> str:
    if of_secret and key in _SECRET_DATA:
        return "data of a Secret"
    if _ENVIRONMENT.fullmatch(key):
        return "environment"
    return "named secret" if _KEY.search(key) else ""

"""The people of a node as a value, and what of it stands in its passwd, group, shadow and sudoers.

Pure. Must not know who asks for them nor where a node's files lie. Source: passwd(5), group(5),
shadow(5), sudoers(5); for the sudo rules, VMAccess (Utils/distroutils.py, create_account).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import date

from podwire.cluster.node_files import DOCKER_GROUP
from podwire.model.errors import InvalidInputError

FIRST_UID, LAST_UID = 1000, 59999
"""Of people; what is below is the system's (UID_MIN and UID_MAX of Debian's login.defs)."""
NO_PASSWORD = "*"
_SHELL = "/bin/bash"
_TODAY = 19000
"""When the password was changed last, in days since 1970: any day will do, passwords stay good."""


@dataclass(frozen=True, slots=True)
class Account:
    """One of the people. password: as crypt(3) gives it; expires: yyyy-mm-dd, "" for never;
    sudo_asks: whether sudo wants the password."""

    name: str
    uid: int
    password: str = field(default=NO_PASSWORD, repr=False)
    expires: str = ""
    sudo_asks: bool = False

    @property
    def home(self) -> str:
        return f"/home/{self.name}"

    @property
    def sudo_rule(self) -> str:
        return f"{self.name} ALL = (ALL) {'' if self.sudo_asks else 'NOPASSWD: '}ALL\n"

    @property
    def shadow(self) -> str:
        expires = str(_days(self.expires)) if self.expires else ""
        return f"{self.name}:{self.password}:{_TODAY}:0:99999:7::{expires}:\n"


@dataclass(frozen=True, slots=True)
class People:
    """Everybody whom VMAccess made on one node. password_logins: whether sshd takes passwords."""

    accounts: tuple[Account, ...] = ()
    password_logins: bool = False

    def find(self, name: str) -> Account | None:
        return next((one for one in self.accounts if one.name == name), None)

    def having(self, account: Account) -> People:
        """With this account, in the place of one of the same name."""
        others = self.without(account.name).accounts
        return replace(self, accounts=(*others, account))

    def without(self, name: str) -> People:
        return replace(self, accounts=tuple(one for one in self.accounts if one.name != name))

    @property
    def sudoers(self) -> str:
        return "".join(one.sudo_rule for one in self.accounts)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> People:
        document = json.loads(text)
        accounts = tuple(Account(**one) for one in document["accounts"])
        return cls(accounts, document["password_logins"])


@dataclass(frozen=True, slots=True)
class Databases:
    """The texts of /etc/passwd, /etc/group and /etc/shadow."""

    passwd: str
    group: str
    shadow: str = field(repr=False)

    def having(self, accounts: Iterable[Account]) -> Databases:
        """With these accounts, each in the place of one of the same name, all in group docker."""
        new = self
        for one in accounts:
            new = new.without(one.name)
            new = Databases(
                f"{new.passwd}{one.name}:x:{one.uid}:{one.uid}::{one.home}:{_SHELL}\n",
                f"{_joined(new.group, DOCKER_GROUP, one.name)}{one.name}:x:{one.uid}:\n",
                new.shadow + one.shadow,
            )
        return new

    def without(self, name: str) -> Databases:
        """Without that account, its group and its memberships."""
        group = "".join(_left(line, name) for line in _lines(self.group) if _name(line) != name)
        return Databases(_dropped(self.passwd, name), group, _dropped(self.shadow, name))

    def uid(self, name: str) -> int:
        """That of the account `name`, or the next free one of people.

        Raises InvalidInputError for an account of the system.
        """
        found = number(self.passwd, name)
        if found is None:
            return self._free_uid()
        if not FIRST_UID <= found <= LAST_UID:
            raise InvalidInputError(
                f"username {name!r} is an account of the system (uid {found}); choose another name"
            )
        return found

    def _free_uid(self) -> int:
        lines = _lines(self.passwd) + _lines(self.group)
        taken = {int(line.split(":")[2]) for line in lines if line.count(":") > 1}
        return next(one for one in range(FIRST_UID, LAST_UID + 1) if one not in taken)


def _days(day: str) -> int:
    return (date.fromisoformat(day) - date(1970, 1, 1)).days


def number(text: str, name: str) -> int | None:
    """The number of the account or group `name` in the text of /etc/passwd or /etc/group."""
    return next((int(line.split(":")[2]) for line in _lines(text) if _name(line) == name), None)


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _name(line: str) -> str:
    return line.split(":", 1)[0]


def _dropped(text: str, name: str) -> str:
    return "".join(line for line in _lines(text) if _name(line) != name)


def _joined(group: str, wanted: str, member: str) -> str:
    """/etc/group with `member` in the group `wanted`, if there is one."""

    def line(have: str) -> str:
        if _name(have) != wanted:
            return have
        return f"{have.rstrip()}{'' if have.rstrip().endswith(':') else ','}{member}\n"

    return "".join(line(one) for one in _lines(group))


def _left(line: str, member: str) -> str:
    head, colon, members = line.rstrip("\n").rpartition(":")
    return head + colon + ",".join(one for one in members.split(",") if one != member) + "\n"

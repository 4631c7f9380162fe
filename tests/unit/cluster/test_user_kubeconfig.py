import os
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import pytest
import yaml

from podwire.cluster import user_kubeconfig
from podwire.cluster.pki import Credential
from podwire.cluster.user_kubeconfig import check, kubeconfig_path, merge, remove, user_name
from podwire.model.errors import InvalidInputError, UnavailableError

FOREIGN = """\
apiVersion: v1
clusters:
- cluster: {server: https://work.example:6443, valid-until: 2031-01-02}
  name: work
contexts:
- context: {cluster: work, user: me}
  name: work
current-context: work
kind: Config
preferences: {}
users:
- name: me
  user: {token: "0123"}
later-field: 0.5
"""


@pytest.fixture
def credential(tmp_path):
    files = [tmp_path / one for one in ("c.crt", "c.key", "ca.crt")]
    for file in files:
        file.write_bytes(file.name.encode())
    return Credential(*files)


@pytest.fixture
def add(credential):
    def call(path, lab="podwire", context="azurecni-cluster"):
        user = user_name("NetworkLab", context)
        server = "https://127.0.0.1:6443"
        merge(path, lab=lab, context=context, user=user, server=server, credential=credential)

    return call


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "home" / ".kube" / "config"
    path.parent.mkdir(parents=True)
    path.write_text(FOREIGN)
    path.chmod(0o600)
    return path


def load(path):
    return yaml.safe_load(path.read_bytes())


def test_merge_then_remove_gives_back_the_same_document(add, config):
    before = load(config)
    add(config)
    assert load(config)["current-context"] == "azurecni-cluster"
    assert load(config)["users"][1]["name"] == "clusterUser_NetworkLab_azurecni-cluster"
    assert remove(config, lab="podwire")
    assert list(load(config)) == list(before)
    after = load(config)
    assert after["clusters"][0]["cluster"].pop("valid-until") == "2031-01-02"
    before["clusters"][0]["cluster"].pop("valid-until")
    assert after == before


def test_file_and_directories_that_we_made_go_again(add, tmp_path):
    path = tmp_path / "new" / ".kube" / "config"
    add(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load(path)["kind"] == "Config"
    assert remove(path, lab="podwire")
    assert not (tmp_path / "new").exists()


def test_directory_that_is_used_by_others_stays(add, tmp_path):
    path = tmp_path / ".kube" / "config"
    add(path)
    (path.parent / "cache").mkdir()
    remove(path, lab="podwire")
    assert [one.name for one in path.parent.iterdir()] == ["cache"]


def test_file_that_we_made_stays_when_others_put_something_in(add, tmp_path):
    path = tmp_path / "config"
    add(path)
    document = load(path)
    document["users"].append({"name": "me", "user": {}})
    path.write_text(yaml.safe_dump(document))
    remove(path, lab="podwire")
    assert load(path)["users"] == [{"name": "me", "user": {}}]


def test_empty_file_stays_and_is_empty_again(add, tmp_path):
    path = tmp_path / "config"
    path.touch()
    add(path)
    remove(path, lab="podwire")
    assert path.read_bytes() == b""


def test_remove_where_nothing_is(config, tmp_path):
    before = config.stat()
    assert not remove(config, lab="podwire")
    assert config.stat().st_mtime_ns == before.st_mtime_ns
    assert config.read_text() == FOREIGN
    assert not remove(tmp_path / "none", lab="podwire")
    assert not remove(tmp_path, lab="podwire")


def test_symlink_stays_a_symlink(add, config, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(os.path.relpath(config, tmp_path))
    add(link)
    assert link.is_symlink()
    assert load(config)["current-context"] == "azurecni-cluster"
    remove(link, lab="podwire")
    assert link.is_symlink()
    assert load(config)["current-context"] == "work"


def test_check_refuses_what_merge_would_and_writes_nothing(config, tmp_path):
    names = {"lab": "podwire", "context": "azurecni-cluster", "user": "me-too"}
    check(tmp_path / "none" / "config", **names)
    check(config, **names)
    with pytest.raises(InvalidInputError, match=f"{config}.*'work'"):
        check(config, **{**names, "context": "work"})
    assert config.read_text() == FOREIGN
    assert not (tmp_path / "none").exists()
    assert [one.name for one in config.parent.iterdir()] == ["config"]


def test_symlink_that_goes_in_circles(add, tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(InvalidInputError, match="symlink"):
        add(tmp_path / "a")


def test_key_is_not_left_readable_and_the_mode_comes_back(add, config):
    config.chmod(0o644)
    add(config)
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    add(config, "second", "azurecni-cluster-second")
    remove(config, lab="podwire")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    remove(config, lab="second")
    assert stat.S_IMODE(config.stat().st_mode) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_leaves_the_file_to_its_owner(add, config, tmp_path):
    os.chown(config, 1234, 1235)
    add(config)
    assert (config.stat().st_uid, config.stat().st_gid) == (1234, 1235)
    remove(config, lab="podwire")
    assert (config.stat().st_uid, config.stat().st_gid) == (1234, 1235)
    home = tmp_path / "other"
    home.mkdir()
    os.chown(home, 1234, 1235)
    add(home / ".kube" / "config")
    for made in (home / ".kube", home / ".kube" / "config"):
        assert (made.stat().st_uid, made.stat().st_gid) == (1234, 1235)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: 1\nclusters: [\nb: }\n", "line 3"),
        (b"- a\n- b\n", "no mapping"),
        (b"a: 1\n---\nb: 2\n", "line 2"),
        (b"a: \xff\xfe\n", "no YAML"),
        (b"a: 1\nb: \x01\n", "no YAML"),
        (b"a: 1\nusers: {b: 1}\n", "'users' is no list"),
    ],
)
def test_file_that_cannot_be_understood_is_named_and_left_alone(add, config, content, says):
    config.write_bytes(content)
    with pytest.raises(InvalidInputError) as caught:
        add(config)
    assert str(config) in str(caught.value)
    assert says in str(caught.value)
    assert config.read_bytes() == content
    assert [one.name for one in config.parent.iterdir()] == ["config"]


def test_foreign_context_of_the_same_name_is_named_and_left_alone(add, config):
    content = FOREIGN.replace("work", "azurecni-cluster")
    config.write_text(content)
    with pytest.raises(InvalidInputError, match="KUBECONFIG=FILE"):
        add(config)
    assert config.read_text() == content


def test_failed_merge_leaves_no_directories(add, tmp_path, monkeypatch):
    monkeypatch.setattr(user_kubeconfig, "write_file", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        add(tmp_path / "new" / "deep" / "config")
    assert not (tmp_path / "new").exists()


def test_waits_for_the_lock(add, config):
    lock = config.with_name("config.lock")
    lock.touch(mode=0)
    done = threading.Event()
    threading.Thread(target=lambda: (add(config), done.set())).start()
    assert not done.wait(0.3)
    assert config.read_text() == FOREIGN
    lock.unlink()
    assert done.wait(5)
    assert load(config)["current-context"] == "azurecni-cluster"
    assert not lock.exists()


def test_lock_that_stays_is_named(add, config, monkeypatch):
    monkeypatch.setattr(user_kubeconfig, "_LOCK_WAIT", 0.1)
    lock = config.with_name("config.lock")
    lock.touch()
    with pytest.raises(UnavailableError, match=r"config\.lock exists"):
        add(config)
    assert lock.exists()
    assert config.read_text() == FOREIGN


def test_own_lock_of_a_killed_process_is_taken_over(add, config):
    ended = subprocess.Popen(["true"])
    ended.wait()
    lock = config.with_name("config.lock")
    lock.write_text(f"podwire {ended.pid}")
    add(config)
    assert not lock.exists()
    assert load(config)["current-context"] == "azurecni-cluster"


def test_lock_of_a_living_process_is_respected(add, config, monkeypatch):
    monkeypatch.setattr(user_kubeconfig, "_LOCK_WAIT", 0.1)
    config.with_name("config.lock").write_text(f"podwire {os.getpid()}")
    with pytest.raises(UnavailableError):
        add(config)


def test_many_writers_lose_nothing(add, config):
    names = [f"lab-{number}" for number in range(8)]
    threads = [threading.Thread(target=add, args=(config, one, one)) for one in names]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {one["name"] for one in load(config)["contexts"]} == {"work", *names}


ROOT = os.geteuid() == 0


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"KUBECONFIG": "/a/b:/c", "HOME": "/home/me"}, "/a/b"),
        ({"KUBECONFIG": ":/c", "HOME": "/home/me"}, "/c"),
        ({"KUBECONFIG": "", "HOME": "/home/me"}, "/home/me/.kube/config"),
        ({"HOME": "/root", "SUDO_UID": "999999"}, "/root/.kube/config"),
        ({"HOME": "/root", "SUDO_UID": "1", "SUDO_COMMAND": "/bin/bash"}, "/root/.kube/config"),
        ({"HOME": "/root", "SUDO_UID": "1", "KUBECONFIG": "/k"}, "/k"),
    ],
)
def test_path(environ, expected):
    assert kubeconfig_path(environ) == Path(expected)


def test_path_under_sudo_is_the_caller_s():
    environ = {"HOME": "/root", "SUDO_UID": "1", "SUDO_COMMAND": "/usr/bin/make up"}
    home = "/usr/sbin" if ROOT else "/root"
    assert kubeconfig_path(environ) == Path(home, ".kube", "config")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_reads_it_and_keeps_our_marks_when_it_writes(add, config):
    def kubectl(*arguments):
        command = ["kubectl", f"--kubeconfig={config}", "config", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    add(config)
    assert kubectl("current-context") == "azurecni-cluster"
    kubectl("set-context", "--current", "--namespace=dev")
    kubectl("rename-context", "azurecni-cluster", "renamed")
    assert remove(config, lab="podwire")
    assert kubectl("current-context") == "work"
    assert kubectl("get-contexts", "-o", "name") == "work"
    assert kubectl("get-users") == "NAME\nme"

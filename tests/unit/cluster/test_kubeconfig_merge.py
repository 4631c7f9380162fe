import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podwire.cluster.kubeconfig_merge import LabEntry, is_bare, labs, merged, removed
from podwire.model.errors import InvalidInputError

KINDS = {"clusters": "cluster", "users": "user", "contexts": "context"}


def lab(name="podwire", context="azurecni-cluster", port=6443):
    cluster = {"server": f"https://127.0.0.1:{port}"}
    return LabEntry(name, context, f"clusterUser_NetworkLab_{context}", cluster, {"token": "t"})


A, B = lab(), lab("second", "azurecni-cluster-second", 6444)


def without(document, *names):
    for one in names:
        document, _record = removed(document, one)
    return document


def ordered(value):
    """Equality of dicts does not look at the order of keys; this does."""
    if isinstance(value, dict):
        return [(key, ordered(one)) for key, one in value.items()]
    return [ordered(one) for one in value] if isinstance(value, list) else value


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def entries(kind):
    body = st.none() | st.dictionaries(st.text(max_size=8), values, max_size=3)
    entry = st.fixed_dictionaries({"name": st.text(max_size=8), kind: body})
    return st.none() | st.lists(entry, max_size=3)


known = {
    **{section: entries(kind) for section, kind in KINDS.items()},
    "current-context": st.none() | st.text(max_size=8),
    "apiVersion": st.just("v1"),
    "preferences": st.just({}),
}
documents = st.builds(
    lambda unknown, mine, order: dict(
        order.sample([*{**unknown, **mine}.items()], len({**unknown, **mine}))
    ),
    st.dictionaries(st.text(max_size=8), values, max_size=3),
    st.fixed_dictionaries({}, optional=known),
    st.randoms(use_true_random=False),
)


@given(documents)
def test_removing_gives_back_the_identical_document(document):
    assert ordered(without(merged(document, A), "podwire")) == ordered(document)


@given(documents)
def test_again_and_then_removing_too(document):
    twice = merged(merged(document, A), lab(port=7000))
    assert ordered(without(twice, "podwire")) == ordered(document)


@given(documents, st.permutations(["podwire", "second"]))
def test_two_labs_may_leave_in_any_order(document, order):
    both = merged(merged(document, A), B)
    assert labs(both) == ["podwire", "second"]
    assert ordered(without(both, *order)) == ordered(document)


@given(documents)
def test_merging_leaves_the_argument_and_what_is_foreign_alone(document):
    before = copy.deepcopy(document)
    result = merged(document, A)
    assert ordered(document) == ordered(before)
    for section in KINDS:
        assert ordered(result[section][:-1]) == ordered(document.get(section) or [])
    rest = {key: value for key, value in document.items() if key not in (*KINDS, "current-context")}
    assert {key: result[key] for key in rest} == rest


def test_adds_what_kubectl_needs():
    result = merged({}, A)
    assert result["current-context"] == "azurecni-cluster"
    assert result["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    context = result["contexts"][0]["context"]
    assert context["cluster"] == result["clusters"][0]["name"]
    assert context["user"] == result["users"][0]["name"]


def test_again_updates_the_server_and_keeps_the_chosen_namespace():
    document = merged({}, A)
    document["contexts"][0]["context"]["namespace"] = "dev"
    again = merged(document, lab(port=7000))
    assert [one["cluster"]["server"] for one in again["clusters"]] == ["https://127.0.0.1:7000"]
    assert [one["context"]["namespace"] for one in again["contexts"]] == ["dev"]


def test_context_chosen_meanwhile_stays_current():
    document = merged({"current-context": "work"}, A)
    document["current-context"] = "other"
    assert without(document, "podwire") == {"current-context": "other"}


def test_renamed_context_is_still_ours():
    document = merged({"current-context": "work"}, A)
    document["contexts"][0]["name"] = document["current-context"] = "renamed"
    assert without(document, "podwire") == {"current-context": "work"}


def test_what_was_added_meanwhile_stays():
    document = merged({}, A)
    mine = {"name": "mine", "context": {"cluster": "azurecni-cluster", "user": "me"}}
    document["contexts"].append(mine)
    assert without(document, "podwire") == {"contexts": [mine]}


def test_middle_one_of_three_labs_leaves():
    third = lab("third", "azurecni-cluster-third")
    document = merged(merged(merged({"current-context": "work"}, A), B), third)
    left = without(document, "second", "third")
    assert left["current-context"] == "azurecni-cluster"
    assert without(left, "podwire") == {"current-context": "work"}


def test_facts_about_the_file_come_back_also_through_another_lab():
    first = merged({}, A, {"created": True, "directories": 1})
    left, record = removed(merged(first, B), "podwire")
    assert record["origin"] == {"created": True, "directories": 1}
    assert removed(left, "second")[1]["origin"] == {"created": True, "directories": 1}


@pytest.mark.parametrize(("section", "kind"), KINDS.items())
def test_name_of_somebody_else_is_refused(section, kind):
    name = A.names()[section]
    document = {section: [{"name": name, kind: {}}]}
    with pytest.raises(InvalidInputError) as caught:
        merged(document, A)
    assert repr(name) in str(caught.value)
    assert f"kubectl config delete-{kind} {name}" in str(caught.value)
    assert "KUBECONFIG=FILE" in str(caught.value)


def test_name_of_another_lab_is_refused():
    with pytest.raises(InvalidInputError):
        merged(merged({}, A), lab("second"))


def test_section_that_is_no_list_is_refused():
    with pytest.raises(InvalidInputError, match="'users' is no list"):
        merged({"users": {"a": 1}}, A)


@pytest.mark.parametrize(
    ("document", "bare"),
    [
        ({}, True),
        ({"apiVersion": "v1", "kind": "Config", "users": [], "current-context": ""}, True),
        ({"kind": "Config", "clusters": None, "preferences": {}}, True),
        ({"kind": "Config", "current-context": "x"}, False),
        ({"users": [{"name": "x"}]}, False),
    ],
)
def test_bare(document, bare):
    assert is_bare(document) is bare

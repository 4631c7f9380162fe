"""Services of type LoadBalancer, and which destinations see a pod's own address."""

from __future__ import annotations

from tests.e2e.harness import LabHarness
from tests.e2e.ip_masq import check_edits
from tests.e2e.load_balancers import check_load_balancers

KEPT = ("10.220.0.0/16", "10.220.2.0/24", "10.200.0.0/16")


def test_load_balancers(lab: LabHarness) -> None:
    check_load_balancers(lab)


def test_an_edited_list_changes_the_chain_and_an_invalid_one_does_not(lab: LabHarness) -> None:
    check_edits(lab, KEPT)

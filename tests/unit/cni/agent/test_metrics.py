from __future__ import annotations

from podwire.cni.agent.metrics import BUCKETS, Metrics


def test_calls_errors_and_durations_are_told_by_verb() -> None:
    metrics = Metrics()
    metrics.count("ADD", 0.002)
    metrics.count("ADD", 0.3, 11)
    metrics.count("DEL", 60.0)
    lines = metrics.text({"podwire_free": ("Free.", 7.0)}).splitlines()
    for line in (
        'podwire_cni_calls_total{verb="ADD"} 2',
        'podwire_cni_errors_total{verb="ADD",code="11"} 1',
        'podwire_cni_duration_seconds_bucket{verb="ADD",le="0.001"} 0',
        'podwire_cni_duration_seconds_bucket{verb="ADD",le="0.0025"} 1',
        'podwire_cni_duration_seconds_bucket{verb="ADD",le="0.5"} 2',
        'podwire_cni_duration_seconds_bucket{verb="DEL",le="10.0"} 0',
        'podwire_cni_duration_seconds_bucket{verb="DEL",le="+Inf"} 1',
        'podwire_cni_duration_seconds_sum{verb="ADD"} 0.302',
        'podwire_cni_duration_seconds_count{verb="DEL"} 1',
        "# TYPE podwire_free gauge",
        "podwire_free 7",
    ):
        assert line in lines


def test_a_bucket_holds_its_bound() -> None:
    metrics = Metrics()
    metrics.count("ADD", BUCKETS[0])
    assert f'le="{BUCKETS[0]}"}} 1' in metrics.text({})

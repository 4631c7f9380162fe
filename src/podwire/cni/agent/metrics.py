"""What the agent tells Prometheus: calls by verb, errors by code, durations, addresses.

Source: Prometheus text exposition format 0.0.4. Must not know who calls.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds in seconds."""


class Metrics:
    """Counts from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._errors: Counter[tuple[str, int]] = Counter()
        self._seconds: Counter[str] = Counter()
        self._within: Counter[tuple[str, int]] = Counter()
        """Calls by verb and the number of their bucket, which the text adds up."""

    def count(self, verb: str, seconds: float, code: int = 0) -> None:
        """code: the CNI error's, 0 for success."""
        micros = round(seconds * 1e6)
        with self._lock:
            self._calls[verb] += 1
            self._seconds[verb] += micros
            if code:
                self._errors[verb, code] += 1
            self._within[verb, bisect_left(BUCKETS, seconds)] += 1

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """gauges: name -> (help, value), besides what was counted."""
        with self._lock:
            return "".join(f"{line}\n" for line in (*self._lines(), *_gauges(gauges)))

    def _lines(self) -> Iterator[str]:
        yield from _head("podwire_cni_calls_total", "counter", "Calls answered, by verb.")
        for verb, count in sorted(self._calls.items()):
            yield f'podwire_cni_calls_total{{verb="{verb}"}} {count}'
        yield from _head("podwire_cni_errors_total", "counter", "Calls refused, by CNI error code.")
        for (verb, code), count in sorted(self._errors.items()):
            yield f'podwire_cni_errors_total{{verb="{verb}",code="{code}"}} {count}'
        name = "podwire_cni_duration_seconds"
        yield from _head(name, "histogram", "From a call's last byte to its answer.")
        for verb, count in sorted(self._calls.items()):
            below = 0
            for number, bound in enumerate(BUCKETS):
                below += self._within[verb, number]
                yield f'{name}_bucket{{verb="{verb}",le="{bound}"}} {below}'
            yield f'{name}_bucket{{verb="{verb}",le="+Inf"}} {count}'
            yield f'{name}_sum{{verb="{verb}"}} {self._seconds[verb] / 1e6}'
            yield f'{name}_count{{verb="{verb}"}} {count}'


def _gauges(gauges: Mapping[str, tuple[str, float]]) -> Iterable[str]:
    for name, (told, value) in gauges.items():
        yield from _head(name, "gauge", told)
        yield f"{name} {value:g}"


def _head(name: str, kind: str, told: str) -> tuple[str, str]:
    return f"# HELP {name} {told}", f"# TYPE {name} {kind}"

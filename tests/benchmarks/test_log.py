"""The log's benchmark runs, and what it loads in bulk is what appending makes."""

from __future__ import annotations

import pytest

from benchmarks.log.__main__ import costs, rates, version_ms
from benchmarks.log.bench import append_one, bench_runtime, fill
from registry.fsck.tree import faults_of_log


@pytest.mark.timeout(600)
def test_loads_a_log_that_appending_goes_on_with_and_measures_it() -> None:
    with bench_runtime(2) as runtime:
        fill(runtime, 0, 700)
        assert append_one(runtime, 700) == 700
        fill(runtime, 701, 1500)
        assert append_one(runtime, 1500) == 1500
        with runtime.sessions() as session:
            assert list(faults_of_log(session, runtime)) == []
        assert all(figure > 0 for figure in costs(runtime).values())
        assert version_ms() > 0
        assert rates(runtime, 2, 0.5)["ratio"] > 0

import subprocess
import sys
import time

import pytest

from autotune.probes.threads import cpu_seconds

BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"


def test_the_cpu_time_of_a_worker_is_read_while_it_runs_and_finer_than_in_ticks() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        both_s, own_s = cpu_seconds([worker.pid]), cpu_seconds()
        worker.communicate(b"\n")
        with pytest.raises(ProcessLookupError, match=f"process {worker.pid} has ended"):
            cpu_seconds([worker.pid])
    assert 0.3 <= both_s - own_s + 0.01 < 5
    assert round(both_s, 2) != both_s


def test_sleeping_costs_no_cpu_time() -> None:
    before_s = cpu_seconds()
    time.sleep(0.1)
    assert cpu_seconds() - before_s < 0.05

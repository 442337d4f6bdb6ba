import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from autotune.probes.processes import Busy, busiest, other_processes

Tree = Callable[[dict[str, str]], Path]


def test_a_name_may_hold_brackets_and_spaces(tree: Tree) -> None:
    numbers = "S 1 1 1 0 -1 4194304 100 0 0 0 150 50 7 7 20 0 1 0 57023"
    root = tree({"12/stat": f"12 (a) (b c) {numbers}", f"{os.getpid()}/stat": f"1 (me) {numbers}"})
    cpu_s = 200 / os.sysconf("SC_CLK_TCK")
    assert other_processes(root) == {12: Busy(pid=12, name="a) (b c", cpu_s=cpu_s)}


def test_the_busiest_is_the_one_that_used_most_in_between() -> None:
    def reading(**cpu_s: float) -> dict[int, Busy]:
        return {ord(name): Busy(pid=ord(name), name=name, cpu_s=s) for name, s in cpu_s.items()}

    before = reading(a=900.0, b=1.0, c=5.0)
    assert busiest(before, reading(a=900.5, b=3.0)) == Busy(pid=ord("b"), name="b", cpu_s=2.0)
    assert busiest(before, reading(a=900.5, d=1.0)) == Busy(pid=ord("d"), name="d", cpu_s=1.0)
    assert busiest(before, before) is None
    assert busiest({}, {}) is None


def test_a_process_that_computes_here_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            before = other_processes()
            time.sleep(0.5)
            used_s = other_processes()[process.pid].cpu_s - before[process.pid].cpu_s
        finally:
            process.kill()
    assert used_s > 0.05

"""How long a person waits for `institutional --help`."""

import os
import subprocess
import sys
import time
from statistics import median

from benchmarks.timing import Target

COMMAND = [sys.executable, "-m", "institutional.cli.main", "--help"]


def measure() -> list[Target]:
    """CPU and wall seconds of fresh processes, median of 11, bytecode compiled."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(COMMAND, check=True, capture_output=True, env=environment)
    wall, cpu = [], []
    for _ in range(11):
        before, start = os.times(), time.perf_counter()
        subprocess.run(COMMAND, check=True, capture_output=True, env=environment)
        after = os.times()
        wall.append(time.perf_counter() - start)
        cpu.append(
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
    shown = median(cpu)
    return [
        Target("institutional --help, CPU s", f"{shown:.3f}", "< 0.25", shown < 0.25),
        Target("  wall s", f"{median(wall):.3f}"),
    ]

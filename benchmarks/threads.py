"""What a parallel call of Numba costs under each threading layer, on a machine as it is and with one core busy.

    python benchmarks/threads.py

Threads start as Numba starts them, and as convnd does, which has them sleep soon. Each writes one number. The median
and the 90th percentile are of calls one after the other, and of calls after a pause in which the threads fall asleep,
as they are in most programs.
"""

import os
import subprocess
import sys
import time
from typing import Any

CALLS, PAUSE = 2000, 2e-3
BUSY = "import os\nwhile os.getppid() == {}: pass"


def report(layer: str, starter: str, state: str) -> None:
    """Print a line of figures for this process' layer."""
    import numba
    import numpy as np
    from numba import njit, prange, types

    from convnd.jit import parallel

    if starter == "convnd":
        parallel.may_use_threads()

    def write_each(numbers: Any) -> None:
        for thread in prange(len(numbers)):
            numbers[thread] = thread

    def microseconds(calls: int, pause: float) -> str:
        times = []
        for _ in range(calls):
            if pause:
                time.sleep(pause)
            start = time.perf_counter()
            write(numbers)
            times.append(1e6 * (time.perf_counter() - start))
        return " ".join(f"{figure:9.1f}" for figure in np.percentile(times, (50, 90)))

    write = njit(types.void(types.int64[::1]), parallel=True)(write_each)
    numbers = np.zeros(numba.get_num_threads(), np.int64)
    write(numbers)
    print(f"{layer:10} {starter:7} {state:5} {microseconds(CALLS, 0)}   {microseconds(CALLS // 10, PAUSE)}", flush=True)


def main() -> int:
    """Run from the command line."""
    if len(sys.argv) == 4:
        report(*sys.argv[1:])
        return 0
    print("microseconds               one after the other         after a pause")
    print("layer      started cores      50 %      90 %        50 %      90 %")
    for layer, starter in (("omp", "numba"), ("omp", "convnd"), ("workqueue", "numba")):
        for state in ("idle", "busy"):
            environment = {**os.environ, "NUMBA_THREADING_LAYER": layer}
            busy = [subprocess.Popen([sys.executable, "-c", BUSY.format(os.getpid())])] if state == "busy" else []
            try:
                subprocess.run([sys.executable, __file__, layer, starter, state], env=environment, check=True)
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""launch/gpu_check.sh's program with steps and a step program of a test's own.

    python check_driver.py STEPS PROGRAM CODE WORDS...

STEPS is JSON: [name, takes_s, limit_s, under_mps] of each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "launch"))

from benchmarks import gpu_check, mps

if __name__ == "__main__":
    steps, program, code, *words = sys.argv[1:]
    gpu_check.STEPS = [
        gpu_check.Step(name, f"the {name} step", takes_s, limit_s, *mps_arguments)
        for name, takes_s, limit_s, under_mps in json.loads(steps)
        for mps_arguments in [(mps.why_not, True) if under_mps else ()]
    ]
    gpu_check._PROGRAM = Path(program)
    gpu_check._code_id = lambda: code
    sys.argv[1:] = words
    gpu_check.main()

"""Writes anew what the dry run allows: `python -m tests.dry_run.renew [TRAINING ...]`.

Look at the difference before you commit it: whatever grew has to be worth it. What still waits in
the steady loop is printed below the table, as `allowed.py` names it.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.dry_run import table
from tests.dry_run.allowed import ALLOWED
from tests.dry_run.names import TRAININGS
from tests.dry_run.parent import DryRuns

COLUMNS = ("launches", "replays", "recorded", "up", "down", "waits")


def main(names: list[str]) -> None:
    found, waits = {}, defaultdict(dict)
    with tempfile.TemporaryDirectory() as folder:
        runs = DryRuns(Path(folder))
        print(f"{'':28}{'':8}" + "".join(f"{column:>10}" for column in COLUMNS))
        try:
            for name in names:
                report = runs.run(name)
                if "failed" in report:
                    sys.exit(f"{name} failed:\n{report['failed']}")
                found[name] = report["counts"]
                for phase, counts in found[name].items():
                    numbers = "".join(f"{counts.get(column, 0):>10g}" for column in COLUMNS)
                    print(f"{name:28}{phase:8}{numbers}", flush=True)
                for kind, place, what, _ in report["faults"]:
                    waits[place].setdefault(f"{kind}: {what}", name)
        finally:
            runs.close()
    table.write(found)
    for place, faults in sorted(waits.items()):
        print(f"\n{place}: {ALLOWED[place].reason if place in ALLOWED else 'NOT ALLOWED'}")
        print(*(f"    {what} ({name})" for what, name in faults.items()), sep="\n")
    for place in ALLOWED.keys() - waits.keys():
        print(f"\n{place}: does not wait in these, and may need no entry in allowed.py")


if __name__ == "__main__":
    main(sys.argv[1:] or list(TRAININGS))

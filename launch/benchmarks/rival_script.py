"""Run another library's own training program, with ale-py's games known to Gymnasium.

    python rival_script.py PROGRAM [ARGUMENT...]

PROGRAM is a file ("cleanrl/ppo_atari.py") or a module ("sf_examples.atari.train_atari"). The first
line printed is JSON: {"versions": {...}}, or {"missing": why}. Processes that the program starts
import this file anew, and with it the games.
"""

from __future__ import annotations

import json
import runpy
import sys
from contextlib import suppress
from importlib import metadata, util
from pathlib import Path

with suppress(ImportError):  # told below
    import ale_py  # noqa: F401

LIBRARIES = ("sample-factory", "gymnasium", "torch", "ale-py")


def main() -> None:
    """Print the versions and become the program."""
    program = sys.argv[1]
    is_file = program.endswith(".py")
    packages = ["ale_py"] if is_file else ["ale_py", program.partition(".")[0]]
    missing = [name for name in packages if util.find_spec(name) is None]
    if is_file and not Path(program).is_file():
        missing.append(program)
    if missing:
        print(json.dumps({"missing": f"no {' and no '.join(missing)}"}))
        return
    versions = {}
    for library in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            versions[library] = metadata.version(library)
    print(json.dumps({"versions": versions}), flush=True)
    del sys.argv[0]
    (runpy.run_path if is_file else runpy.run_module)(program, run_name="__main__")


if __name__ == "__main__":
    main()

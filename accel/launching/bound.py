"""Runs a command that dies with the process that started it: bound.py PARENT_PID COMMAND...

A script of its own, to be run by an isolated interpreter: between fork and exec of the command no
code of ours can be run safely, and after the exec it is the command's own. Linux only; elsewhere
the command outlives a parent that is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # survives exec; follows the parent's *thread*: start from the main one

if __name__ == "__main__":
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit("the launcher was gone before its job began")
    os.execv(command[0], command)

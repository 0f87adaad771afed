"""Two machines for tests: namespaces with names and addresses of their own, and a cable between.

They have no names outside and end, with all that runs in them, when this process does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

NAMES = ("node0", "node1")
_HOSTS = "127.0.0.1 localhost\n10.78.0.1 node0\n10.78.0.2 node1\n"
# The first process inside: when it ends, the kernel ends the others. Its input ends with pytest.
_START = """
set -e
mount --bind "$1" /etc/hosts
hostname "$2"
ip link set lo up
echo started
exec cat
"""
_NAMESPACES = ("unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child")


class TwoMachines:
    """`node0` and `node1`, which see each other's ports and nothing else."""

    def __init__(self, folder: Path) -> None:
        (folder / "hosts").write_text(_HOSTS)
        self._machines = [
            subprocess.Popen(
                [*_NAMESPACES, "--mount-proc", "sh", "-c", _START, "sh", folder / "hosts", name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for name in NAMES
        ]

    def plug_in(self) -> None:
        """Lay the cable, an Ethernet pair."""
        for machine in self._machines:
            assert machine.stdout is not None and machine.stdout.readline() == b"started\n"
        other = str(self._machines[1].pid)
        self._ip(0, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", other)
        for number, address in enumerate(("10.78.0.1/24", "10.78.0.2/24")):
            self._ip(number, "address", "add", address, "dev", "eth0")
            self._ip(number, "link", "set", "eth0", "up")

    def pull_the_plug(self) -> None:
        """From now on packets go nowhere; nobody is told."""
        self._ip(0, "link", "set", "eth0", "down")

    def on(self, number: int, folder: Path) -> tuple[str, ...]:
        """Words that make the command after them run on node0 or node1, in this folder."""
        files = {"net": "net", "uts": "uts", "mount": "mnt", "pid": "pid_for_children"}
        pid = self._machines[number].pid
        enter = ("nsenter", *(f"--{kind}=/proc/{pid}/ns/{file}" for kind, file in files.items()))
        return (*enter, "env", f"--chdir={folder}")  # nsenter goes to the root

    def down(self) -> None:
        """End every process on them."""
        for machine in self._machines:
            with suppress(BrokenPipeError):
                machine.communicate(timeout=10)

    def _ip(self, number: int, *words: str) -> None:
        network = f"--net=/proc/{self._machines[number].pid}/ns/net"
        subprocess.run(["nsenter", network, "ip", *words], check=True, timeout=10)


def why_not() -> str | None:
    """What is missing here to make them; None if nothing is."""
    missing = [name for name in ("unshare", "nsenter", "ip") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not found: apt-get install iproute2 util-linux"
    if os.geteuid() != 0:
        return "namespaces need root"
    tried = subprocess.run([*_NAMESPACES, "true"], capture_output=True, text=True, check=False)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else None

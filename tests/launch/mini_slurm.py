"""SLURM on this machine: virtual nodes with imitated GPUs, in a process namespace of its own.

The configuration is for SLURM 22.05 (Debian 12). Everything lives in one folder, listens on free
ports and goes when this process goes, however it ends.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# A node as in a DGX H100: 2 x 56 cores, 8 GPUs, 2 TB. config_overrides lets nodes claim all that.
NODES, GPUS, CORES, MEMORY_MIB = 2, 8, 112, 2_000_000

_CONF = """
ClusterName=mini
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/run/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/state/slurmd.%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SchedulerParameters=sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
KillWait=4
{nodes}
PartitionName=main Nodes=n[1-{count}] Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=60
PartitionName=cheap Nodes=n[1-{count}] MaxTime=INFINITE PriorityTier=1 PreemptMode=CANCEL
PartitionName=urgent Nodes=n[1-{count}] MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""
_NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} Boards=1 "
    "SocketsPerBoard=1 CoresPerSocket={cores} ThreadsPerCore=1 RealMemory={memory} "
    "Feature=h100 Gres=gpu:h100:{gpus} State=UNKNOWN\n"
)
# The daemons go to the background; all end with this shell, and it with its input. Inside, the
# names of the nodes are names of this machine, so that MASTER_ADDR works.
_DAEMONS = """
set -e
mount --bind "$1/hosts" /etc/hosts
munged --key-file="$1/munge/key" --seed-file="$1/munge/seed" --socket="$1/run/munge.socket" \
  --pid-file="$1/run/munged.pid" --log-file="$1/log/munged.log" --num-threads=2
slurmctld -i
for i in $(seq 1 "$2"); do slurmd -N "n$i"; done
cat
kill -KILL -1
rm -rf "$1"
"""


class MiniSlurm:
    """`NODES` nodes of a DGX's shape; `environment` makes SLURM's commands talk to them."""

    PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "unshare")
    VERSION = "22.05"
    NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")

    def __init__(self) -> None:
        # Not pytest's folder: the path of a socket may have 107 characters only.
        self.folder = Path(tempfile.mkdtemp(prefix="mini_slurm_"))
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        for name in list(self.environment):  # of a job that the tests themselves run in
            if name.startswith(("SBATCH_", "SLURM_", "SRUN_")) and name != "SLURM_CONF":
                del self.environment[name]
        self._write()
        with (self.folder / "log" / "start.log").open("w") as log:
            self._daemons = subprocess.Popen(
                [*self.NAMESPACE, "bash", "-c", _DAEMONS, "daemons", self.folder, str(NODES)],
                env=self.environment,
                stdin=subprocess.PIPE,  # its end, also with a killed pytest, ends the daemons
                stdout=log,
                stderr=log,
            )

    def wait_until_up(self) -> None:
        """Until every node is idle. A job sent before that would be refused or have to wait."""
        self.wait_until(lambda: self._idle_nodes() == NODES, within_s=30)

    def command(self, *words: str | Path, **variables: str) -> str:
        """Standard output and error of a command that must succeed."""
        done = self.try_command(*words, **variables)
        assert done.returncode == 0, f"{words}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout

    def try_command(self, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command with its output and error in `stdout`."""
        return subprocess.run(
            [str(word) for word in words],
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
            check=False,
        )

    def submit(self, checkout: Path, *words: str, **variables: str) -> str:
        """Send a job with the checkout's submit.sh, its log among the daemons'; the job's id."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        log = self.folder / "log" / "job-%A-%a.log"
        script = checkout / "launch" / "slurm" / "submit.sh"
        options = ("--parsable", f"--output={log}")
        return self.command(script, *options, *words, PATH=path, **variables).strip()

    def log(self, job: str) -> str:
        """What a job wrote. Array jobs are named JOB_INDEX."""
        number, _, index = job.partition("_")
        name = f"job-{number}-{index or 2**32 - 2}.log"  # 2**32 - 2: SLURM's "no index"
        return (self.folder / "log" / name).read_text(errors="replace")

    def wait_for(self, state: str, job: str) -> None:
        """Until a job is in this state, which for an array means all of its tasks."""

        def is_there() -> bool:
            states = set(self.state(job).split())
            assert not states & {"FAILED", "NODE_FAIL", "TIMEOUT"}, f"{states}\n{self.logs()}"
            return states == {state}

        self.wait_until(is_there)

    def notify(self, job: str) -> None:
        """What SLURM does some time before the time limit: USR1 to the job script alone."""
        self.command("scancel", "--batch", "--signal=USR1", job)

    def state(self, job: str) -> str:
        """PENDING, RUNNING, COMPLETED, ...; of an array the states of all tasks in one line."""
        return " ".join(self.command("squeue", "-h", "-r", "-t", "all", "-j", job, "-o%T").split())

    def wait_until(self, holds: Callable[[], object], within_s: float = 120) -> None:
        """Poll; on a time-out say what the daemons wrote."""
        deadline = time.monotonic() + within_s
        while not holds():
            assert self._daemons.poll() is None, f"SLURM did not start\n{self.logs()}"
            assert time.monotonic() < deadline, f"waited in vain\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        """The ends of the daemons' logs, and the queue."""
        parts = [self.try_command("squeue", "-t", "all").stdout] if self._is_up() else []
        for path in sorted((self.folder / "log").iterdir()):
            lines = path.read_text(errors="replace").splitlines()
            parts.append("\n".join([f"== {path.name}", *lines[-30:]]))
        return "\n".join(parts)

    def down(self) -> None:
        """End every process and delete the folder."""
        assert self._daemons.stdin is not None
        self._daemons.stdin.close()
        try:
            self._daemons.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._daemons.kill()  # and with it, --kill-child, the whole namespace
            self._daemons.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_up(self) -> bool:
        return (self.folder / "run" / "slurmctld.pid").exists()

    def _idle_nodes(self) -> int:
        if not self._is_up():  # a client would go on trying for a minute
            return 0
        answer = self.try_command("sinfo", "-h", "-p", "main", "-t", "idle", "-o%D").stdout
        return int(answer) if answer.strip().isdigit() else 0

    def _write(self) -> None:
        folder, host = self.folder, socket.gethostname().split(".")[0]
        folder.chmod(0o755)  # munge refuses a key that others could have changed
        for name in ("state", "log", "run", "dev"):
            (folder / name).mkdir(mode=0o755)
        (folder / "munge").mkdir(mode=0o700)
        key = folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        names = " ".join(f"n{index}" for index in range(1, NODES + 1))
        hosts = Path("/etc/hosts").read_text()
        (folder / "hosts").write_text(f"127.0.0.1 {names}\n{hosts}")
        control_port, *ports = _free_ports(1 + NODES)
        nodes, gres = "", ""
        for index, port in enumerate(ports, start=1):
            name = f"n{index}"
            for gpu in range(GPUS):  # another /dev/null: SLURM wants a device file for each
                mode = stat.S_IFCHR | 0o600
                os.mknod(folder / "dev" / f"{name}-gpu{gpu}", mode, os.makedev(1, 3))
            files = f"{folder}/dev/{name}-gpu[0-{GPUS - 1}]"
            gres += f"NodeName={name} Name=gpu Type=h100 File={files}\n"
            nodes += _NODE.format(
                name=name, host=host, port=port, cores=CORES, memory=MEMORY_MIB, gpus=GPUS
            )
        (folder / "gres.conf").write_text(gres)
        (folder / "slurm.conf").write_text(
            _CONF.format(
                folder=folder, host=host, control_port=control_port, nodes=nodes, count=NODES
            )
        )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()

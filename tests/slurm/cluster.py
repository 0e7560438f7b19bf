"""A real Slurm cluster of one node: munged, slurmctld and slurmd run as root, with all their files in one directory.

The node pretends to have more than the machine: memory enough for the requests of the project's profile, and GPUs, which
are borrowed device files that nothing opens. Without slurmdbd there is no sacct; `Cluster.jobs` asks the controller.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
# Snakemake's job steps drop SLURM_CONF from the environment, so the configuration has to lie where Slurm looks first.
SYSTEM_CONF = Path("/etc/slurm/slurm.conf")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random")  # one a GPU: Slurm wants a device file for each
POWER = "/usr/sbin:/sbin"

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
{bind}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={home}/munge.socket
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
# no control groups, MPI, mail or database
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
PropagateResourceLimits=NONE
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/none
# finished jobs stay visible to squeue; after a time limit SIGTERM, then SIGKILL
MinJobAge=3600
KillWait=30
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 CoresPerSocket=16 RealMemory=200000 Gres=gpu:tiny:{gpus}
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE
PartitionName=gpu Nodes={host} MaxTime=INFINITE
"""


def unavailable() -> str | None:
    """Why no cluster can be started here, or None. Installs Debian's packages where they are missing."""
    if os.geteuid() != 0:
        return "a Slurm of one node wants root"
    if SYSTEM_CONF.exists() or SYSTEM_CONF.is_symlink():
        return f"{SYSTEM_CONF} exists: this machine has a Slurm of its own"
    if not installed() and shutil.which("apt-get"):
        quiet = {"env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["apt-get", "update"], **quiet)
        subprocess.run(["apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES], **quiet)
    return None if installed() else f"these packages are missing: {' '.join(PACKAGES)}"


def installed() -> bool:
    return all(shutil.which(program, path=f"{os.environ['PATH']}:{POWER}") for program in ("slurmctld", "slurmd", "munged", "sbatch"))


def until(condition: Callable[[], object], seconds: float, what: str) -> object:
    """The first true value of `condition`; an AssertionError that names `what` where there is none in `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


class Cluster:
    """Starts on entering and leaves nothing behind.

    Args:
        home: an empty directory for its files.
    """

    def __init__(self, home: Path):
        self.home, self.host = home, socket.gethostname().split(".")[0]

    def __enter__(self) -> Cluster:
        home, local = self.home, socket.gethostbyname(self.host) == "127.0.0.1"
        for name in ("state", "spool"):
            (home / name).mkdir(mode=0o700)
        (home / "munge.key").write_bytes(os.urandom(1024))
        (home / "munge.key").chmod(0o600)
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0)), two.bind(("127.0.0.1", 0))
            ports = one.getsockname()[1], two.getsockname()[1]
        bind = "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny" if local else ""
        (home / "slurm.conf").write_text(CONF.format(host=self.host, home=home, ports=ports, bind=bind, gpus=len(DEVICES)))
        (home / "gres.conf").write_text("".join(f"NodeName={self.host} Name=gpu Type=tiny File={file}\n" for file in DEVICES))
        SYSTEM_CONF.parent.mkdir(exist_ok=True)
        SYSTEM_CONF.symlink_to(home / "slurm.conf")
        try:
            paths = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munged.pid"}
            paths |= {"log-file": "munged.log", "seed-file": "munged.seed"}
            # --force: the socket need not be reachable for other users.
            self._daemon("munged", "--force", *[f"--{option}={home / name}" for option, name in paths.items()])
            self._daemon("slurmctld")
            self._daemon("slurmd")
            until(lambda: self.node_state() == "idle", 20, "the node to be idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if (self.home / "slurmctld.pid").exists():
            self.ask("scancel", "--user=root", check=False)
        for name in ("slurmd", "slurmctld", "munged"):
            file = self.home / f"{name}.pid"
            if file.exists():
                pid = int(file.read_text())
                os.kill(pid, signal.SIGTERM)
                until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), 20, f"{name} to stop")
        SYSTEM_CONF.unlink()

    def _daemon(self, name: str, *options: str) -> None:
        place = {"PATH": f"{os.environ['PATH']}:{POWER}", "SLURM_CONF": str(self.home / "slurm.conf")}  # gres.conf lies beside it
        # A pipe would stay open in the daemon, so its first words go to a file.
        with (self.home / f"{name}.out").open("w") as out:
            subprocess.run([name, *options], env=os.environ | place, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)

    def ask(self, *command: str, check: bool = True) -> str:
        """A client command's output; the clients wait for minutes where the controller is gone, this doesn't."""
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=check).stdout.strip()

    def node_state(self) -> str:
        return self.ask("sinfo", "--noheader", "--format=%T", "--nodes", self.host, "--partition=cpu", check=False)

    def set_node(self, **state: str) -> None:
        self.ask("scontrol", "update", f"NodeName={self.host}", *[f"{key}={value}" for key, value in state.items()])

    def jobs(self) -> list[dict[str, str]]:
        """Every job since the start, oldest first: what `scontrol show job` says of it, by field."""
        text = self.ask("scontrol", "show", "job", "--oneliner")
        found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines() if line.startswith("JobId=")]
        return sorted(found, key=lambda job: int(job["JobId"]))

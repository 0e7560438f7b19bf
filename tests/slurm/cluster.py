"""A real Slurm cluster of two nodes on this machine: munged, slurmctld and a slurmd for each node, as root, in one directory.

The nodes pretend to have more than the machine: memory enough for what the jobs ask for, and GPUs, which are borrowed
device files that nothing opens. Without slurmdbd there is no sacct; `Cluster.jobs` asks the controller.
"""

from __future__ import annotations

import contextlib
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
# The nodes, with a device file for each GPU. Debian's slurmd can be started more than once on a machine (--enable-multiple-slurmd).
NODES = {"one": ("/dev/null", "/dev/zero"), "two": ("/dev/full", "/dev/random")}
POWER = "/usr/sbin:/sbin"

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
{bind}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# a job that is requeued waits for as long as its credential would have lasted, two minutes by default
AuthInfo=socket={home}/munge.socket,cred_expire=30
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/%n.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/%n.log
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool/%n
# no control groups, MPI, mail or database
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
PropagateResourceLimits=NONE
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
# the memory of jobs is looked at each second, and one that has more than it asked for is killed
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
# finished jobs stay visible to squeue; after a time limit SIGTERM, then SIGKILL
MinJobAge=3600
KillWait=30
ReturnToService=2
SlurmdTimeout=20
# a job in `urgent` takes the place of one that can be requeued
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
{nodes}
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE
PartitionName=gpu Nodes=ALL MaxTime=INFINITE
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=2
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=16 CoresPerSocket=16 RealMemory=200000 Gres=gpu:tiny:{gpus}"


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
        port, *ports = free_ports(1 + len(NODES))
        bind = "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny" if local else ""
        nodes = [NODE.format(name=name, host=self.host, port=port, gpus=len(NODES[name])) for name, port in zip(NODES, ports)]
        (home / "slurm.conf").write_text(CONF.format(host=self.host, home=home, port=port, bind=bind, nodes="\n".join(nodes)))
        gpus = [f"NodeName={name} Name=gpu Type=tiny File={file}\n" for name, files in NODES.items() for file in files]
        (home / "gres.conf").write_text("".join(gpus))
        SYSTEM_CONF.parent.mkdir(exist_ok=True)
        SYSTEM_CONF.symlink_to(home / "slurm.conf")
        try:
            paths = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munged.pid"}
            paths |= {"log-file": "munged.log", "seed-file": "munged.seed"}
            # --force: the socket need not be reachable for other users.
            self.daemon("munged", "--force", *[f"--{option}={home / name}" for option, name in paths.items()])
            self.daemon("slurmctld")
            for name in NODES:
                self.daemon("slurmd", "-N", name)
            self.wait_for_nodes()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if (self.home / "slurmctld.pid").exists():
            self.ask("scancel", "--user=root", check=False)
        for name in (*NODES, "slurmctld", "munged"):
            self.stop(name)
        SYSTEM_CONF.unlink()

    def daemon(self, name: str, *options: str) -> None:
        """Start one of Slurm's daemons; it goes to the background by itself."""
        place = {"PATH": f"{os.environ['PATH']}:{POWER}", "SLURM_CONF": str(self.home / "slurm.conf")}  # gres.conf lies beside it
        # A pipe would stay open in the daemon, so its first words go to a file.
        with (self.home / f"{name}.out").open("a") as out:
            subprocess.run([name, *options], env=os.environ | place, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        """End a daemon by the name of its pid file (a slurmd's is its node's), if it runs."""
        file = self.home / f"{name}.pid"
        if file.exists():
            kill(pid := int(file.read_text()), number)
            until(lambda: not Path(f"/proc/{pid}").exists(), 20, f"{name} to stop")
            file.unlink(missing_ok=True)

    def kill_node(self, name: str) -> None:
        """What a loss of power does: slurmd and all processes of the node's jobs are gone at once."""
        self.stop(name, signal.SIGKILL)
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"SLURMD_NODENAME={name}\0" in (process / "environ").read_text(errors="replace"):
                    parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
                    if Path(f"/proc/{parent}/comm").read_text().strip() == "slurmstepd":
                        kill(parent, signal.SIGKILL)
                    kill(int(process.name), signal.SIGKILL)

    def start_node(self, name: str) -> None:
        self.daemon("slurmd", "-N", name)
        self.wait_for_nodes()

    def ask(self, *command: str, check: bool = True) -> str:
        """A client command's output; the clients wait for minutes where the controller is gone, this doesn't."""
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=check).stdout.strip()

    def node_states(self) -> list[str]:
        return self.ask("sinfo", "--noheader", "--Node", "--format=%T", "--partition=cpu", check=False).split()

    def wait_for_nodes(self) -> None:
        working = {"idle", "mixed", "allocated"}
        until(lambda: len(states := self.node_states()) == len(NODES) and working.issuperset(states), 120, "the nodes to be ready")

    def set_nodes(self, **state: str) -> None:
        self.ask("scontrol", "update", f"NodeName={','.join(NODES)}", *[f"{key}={value}" for key, value in state.items()])

    def jobs(self) -> list[dict[str, str]]:
        """Every job since the start, oldest first: what `scontrol show job` says of it, by field."""
        text = self.ask("scontrol", "show", "job", "--oneliner")
        found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines() if line.startswith("JobId=")]
        return sorted(found, key=lambda job: int(job["JobId"]))


def kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]

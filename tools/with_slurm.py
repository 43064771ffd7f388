#!/usr/bin/env python3
"""Runs a command with a Slurm of its own: tools/with_slurm.py [options] COMMAND args...

For tests, and for trying `slurm.py` where there is no cluster.  munged, slurmctld and slurmd
(Debian: slurm-wlm, munge) are started in a temporary directory with a generated slurm.conf, a key
and ports of their own; this machine is all nodes (there may be several), without cgroups.  They end
with the command, and so do jobs that it left behind.  The user may be any; nothing outside of the
directory is read or written.
"""

import argparse
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun")
START_SECONDS = 30.0

CONFIG = """\
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CredType=cred/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=1,batch_sched_delay=0,defer
PropagateResourceLimits=NONE
ReturnToService=2
KillWait=30
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = """\
NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory}
"""


class Unavailable(Exception):
    """There is no Slurm here, or it does not start; the message says why."""


def program(name: str) -> str:
    """Path of a program; daemons are in sbin, which need not be in PATH."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        raise Unavailable(f"{name} is not installed (Debian: apt-get install slurm-wlm munge)")
    return found


def free_ports(count: int) -> list[int]:
    """TCP ports of this machine that are free now."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]


class Slurm:
    """Slurm in ``root``; ``environment`` is what its users need.

    ``cpus`` is for each node, and need not be true.
    """

    def __init__(self, root: Path, cpus: int, nodes: int = 1) -> None:
        self.root, self.cpus = root, cpus
        self.nodes = [f"node{i + 1}" for i in range(nodes)]
        self.processes: list[subprocess.Popen] = []
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SLURM_")
        }
        self.environment["SLURM_CONF"] = str(root / "slurm.conf")

    def start(self) -> None:
        """Start the daemons and wait for the node; Unavailable where that fails."""
        for name in (*DAEMONS, *CLIENTS, "setpriv"):
            program(name)
        root = self.root
        key = root / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        for name in ("state", *self.nodes):
            (root / name).mkdir()
        (root / "slurm.conf").write_text(self._config(), encoding="utf-8")
        self._daemon(
            "munged", "--foreground", "--force", f"--socket={root}/munge.socket",
            f"--key-file={key}", f"--pid-file={root}/munged.pid",
            f"--seed-file={root}/munged.seed", f"--log-file={root}/munged.log",
        )
        self._wait_for((root / "munge.socket").exists, "munged makes no socket")
        self._daemon("slurmctld", "-D", "-i", "-f", f"{root}/slurm.conf")
        for name in self.nodes:
            self._daemon("slurmd", "-D", "-f", f"{root}/slurm.conf", "-N", name)
        self._wait_for(self._idle, "its nodes do not become idle")

    def _config(self) -> str:
        host = socket.gethostname().split(".")[0]
        controller, *ports = free_ports(1 + len(self.nodes))
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        return CONFIG.format(
            host=host, user=pwd.getpwuid(os.getuid()).pw_name, root=self.root, port=controller,
        ) + "".join(
            NODE.format(name=name, host=host, port=port, cpus=self.cpus, memory=memory)
            for name, port in zip(self.nodes, ports, strict=True)
        )

    def _daemon(self, name: str, *args: str) -> None:
        # A session of its own, since Ctrl-C is for the command; it ends should this one be killed.
        words = ["setpriv", "--pdeathsig", "TERM", program(name), *args]
        with open(self.root / f"{name}.out", "ab") as out:
            self.processes.append(subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=self.environment, start_new_session=True,
            ))

    def _idle(self) -> bool:
        states = self.ask("sinfo", "--Node", "--noheader", "--format=%T").split()
        return states == ["idle"] * len(self.nodes)

    def _wait_for(self, condition, what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            dead = [p for p in self.processes if p.poll() is not None]
            if dead or time.monotonic() > deadline:
                raise Unavailable(f"Slurm does not start: {what}; {self.complaints()}")
            time.sleep(0.1)

    def complaints(self) -> str:
        """The last lines in which daemons complain."""
        lines = []
        for path in sorted([*self.root.glob("*.log"), *self.root.glob("*.out")]):
            text = path.read_text(encoding="utf-8", errors="replace").splitlines()
            bad = [x for x in text if "error" in x.lower() or "fatal" in x]
            lines += [f"{path.name}: {x}" for x in bad[-3:]]
        return " | ".join(lines) or "the daemons say nothing"

    def ask(self, name: str, *args: str) -> str:
        """What a client prints."""
        return subprocess.run(
            [program(name), *args], capture_output=True, text=True, env=self.environment,
            check=False, timeout=60,
        ).stdout

    def stop(self) -> None:
        """End all jobs, then the daemons."""
        if len(self.processes) == 2 + len(self.nodes):
            with contextlib.suppress(subprocess.SubprocessError, Unavailable):
                names = self.ask("squeue", "--noheader", "--format=%A").split()
                if names:
                    self.ask("scancel", "--full", *names)
                    deadline = time.monotonic() + 10
                    while self.ask("squeue", "--noheader") and time.monotonic() < deadline:
                        time.sleep(0.2)
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextlib.contextmanager
def running(cpus: int = 2, nodes: int = 1, keep: bool = False) -> Iterator[Slurm]:
    """Give a Slurm that runs; Unavailable where there is none."""
    root = Path(tempfile.mkdtemp(prefix="slurm-"))
    root.chmod(0o755)
    slurm = Slurm(root, cpus, nodes)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
        if keep:
            print(f"with_slurm.py: logs of the daemons: {root}", file=sys.stderr)
        else:
            shutil.rmtree(root, ignore_errors=True)


def main() -> int:
    """Exit status of the command, 77 if there is no Slurm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpus", type=int, default=max(2, os.cpu_count() or 1),
                        help="of each node, true or not; default: as this machine, at least 2")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the daemons' directory")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    if not args.command:
        parser.error("a command is needed")
    try:
        with running(args.cpus, args.nodes, args.keep) as slurm:
            child = subprocess.Popen(args.command, env=slurm.environment)
            for number in (signal.SIGINT, signal.SIGTERM):
                # A terminal tells the command itself; a kill is passed on.
                signal.signal(number, lambda n, _: n == signal.SIGTERM and child.send_signal(n))
            return child.wait()
    except Unavailable as err:
        print(f"with_slurm.py: {err}", file=sys.stderr)
        return 77
    except OSError as err:
        print(f"with_slurm.py: error: {err.filename or ''}: {err.strerror}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

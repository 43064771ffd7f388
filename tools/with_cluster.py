#!/usr/bin/env python3
"""Runs a command with a batch system of its own: tools/with_cluster.py slurm|sge COMMAND args...

For tests, and for trying slurm.py and queue.py where there is no cluster.  The daemons are started
in a temporary directory, with a configuration, a key and ports of their own; this machine is all
nodes (of Slurm there may be several).  They end with the command, and so do jobs that it left
behind.  The user may be any; nothing outside of the directory is read or written.

  slurm: Debian's slurm-wlm and munge; without cgroups
  sge: Debian's gridengine-master, gridengine-exec and gridengine-client
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
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

START_SECONDS = 30.0
HERE = Path(__file__).resolve().parent / "clusters"


class Unavailable(Exception):
    """There is no such batch system here, or it does not start; the message states the reason."""


def free_ports(count: int) -> list[int]:
    """TCP ports of this machine that are free now."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]


class Cluster(ABC):
    """The daemons of a batch system in ``root``; ``environment``: variables for its users.

    ``cpus`` is for each node, and need not be true.
    """

    programs: tuple[str, ...] = ()
    packages = ""
    places = "/usr/sbin:/sbin:/usr/local/sbin"

    def __init__(self, root: Path, cpus: int, nodes: int) -> None:
        self.root, self.cpus = root, cpus
        self.nodes = [f"node{i + 1}" for i in range(nodes)]
        self.host = socket.gethostname().split(".")[0]
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.processes: list[subprocess.Popen] = []
        self.ready = False
        self.environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SGE_"))
        }

    def start(self) -> None:
        """Start the daemons and wait until jobs can be run; Unavailable where that fails."""
        for name in (*self.programs, "setpriv"):
            self.program(name)
        self.bring_up()
        self.ready = True

    @abstractmethod
    def bring_up(self) -> None:
        """Write the configuration, start the daemons, wait for the nodes."""

    @abstractmethod
    def numbers(self) -> list[str]:
        """The numbers of all jobs that are left."""

    @abstractmethod
    def cancel(self, numbers: list[str]) -> None:
        """End the jobs."""

    def program(self, name: str) -> str:
        """Path of a program; those of daemons need not be in PATH."""
        found = shutil.which(name, path=f"{self.environment.get('PATH', '')}:{self.places}")
        if found is None:
            packages = f"{self.packages} util-linux"
            raise Unavailable(f"{name} is not installed (Debian: apt-get install {packages})")
        return found

    def daemon(self, name: str, *args: str) -> None:
        """Start a daemon, which ends should this process be killed."""
        words = ["setpriv", "--pdeathsig", "TERM", self.program(name), *args]
        # A session of its own, since Ctrl-C is for the command.
        with open(self.root / f"{name}.out", "ab") as out:
            self.processes.append(subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=self.environment, start_new_session=True,
            ))

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition while all daemons live."""
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if time.monotonic() > deadline or any(p.poll() is not None for p in self.processes):
                raise Unavailable(f"no start: {what}; {self.complaints()}")
            time.sleep(0.1)

    def complaints(self) -> str:
        """The last lines in which daemons complain."""
        lines = []
        for path in sorted([*self.root.glob("*.log"), *self.root.glob("*.out")]):
            text = path.read_text(encoding="utf-8", errors="replace").splitlines()
            bad = [x for x in text if "error" in x.lower() or "fatal" in x]
            lines += [f"{path.name}: {x}" for x in bad[-3:]]
        return " | ".join(lines) or "no output of the daemons"

    def ask(self, name: str, *args: str) -> str:
        """What a client prints."""
        return self.call(name, *args).stdout

    def call(self, name: str, *args: str) -> subprocess.CompletedProcess:
        """A client that has been run."""
        return subprocess.run(
            [self.program(name), *args], capture_output=True, text=True, env=self.environment,
            check=False, timeout=60,
        )

    def stop(self) -> None:
        """End all jobs, then the daemons."""
        if self.ready:
            with contextlib.suppress(subprocess.SubprocessError, Unavailable):
                left = self.numbers()
                if left:
                    self.cancel(left)
                    deadline = time.monotonic() + 10
                    while self.numbers() and time.monotonic() < deadline:
                        time.sleep(0.2)
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(timeout=3)  # there is nothing worth saving
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class Slurm(Cluster):
    """Slurm with munge; the nodes are called node1, node2 ..."""

    programs = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol",
                "sinfo", "srun")
    packages = "slurm-wlm munge"

    def bring_up(self) -> None:
        """Write the configuration, start the daemons, wait for the nodes."""
        root = self.root
        key = root / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        for name in ("state", *self.nodes):
            (root / name).mkdir()
        (root / "slurm.conf").write_text(self._configuration(), encoding="utf-8")
        self.environment["SLURM_CONF"] = str(root / "slurm.conf")
        self.daemon(
            "munged", "--foreground", "--force", f"--socket={root}/munge.socket",
            f"--key-file={key}", f"--pid-file={root}/munged.pid",
            f"--seed-file={root}/munged.seed", f"--log-file={root}/munged.log",
        )
        self.wait_for((root / "munge.socket").exists, "munged makes no socket")
        self.daemon("slurmctld", "-D", "-i", "-f", f"{root}/slurm.conf")
        for name in self.nodes:
            self.daemon("slurmd", "-D", "-f", f"{root}/slurm.conf", "-N", name)
        self.wait_for(self._idle, "its nodes do not become idle")

    def _configuration(self) -> str:
        controller, *ports = free_ports(1 + len(self.nodes))
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        text = (HERE / "slurm.conf").read_text(encoding="utf-8").format(
            host=self.host, user=self.user, root=self.root, port=controller
        )
        for name, port in zip(self.nodes, ports, strict=True):
            text += (f"NodeName={name} NodeHostname={self.host} NodeAddr=127.0.0.1 Port={port} "
                     f"CPUs={self.cpus} RealMemory={memory}\n")
        return text

    def _idle(self) -> bool:
        states = self.ask("sinfo", "--Node", "--noheader", "--format=%T").split()
        return states == ["idle"] * len(self.nodes)

    def numbers(self) -> list[str]:
        """The numbers of all jobs that are left."""
        return self.ask("squeue", "--noheader", "--format=%A").split()

    def cancel(self, numbers: list[str]) -> None:
        """End the jobs."""
        self.ask("scancel", "--full", *numbers)


class GridEngine(Cluster):
    """Grid engine with one queue, all.q, and one parallel environment, smp."""

    programs = ("sge_qmaster", "sge_execd", "spoolinit", "spooldefaults.bin", "qconf", "qsub",
                "qstat", "qdel")
    packages = "gridengine-master gridengine-exec gridengine-client"
    places = "/usr/lib/gridengine"

    def bring_up(self) -> None:
        """Write the configuration, start the daemons, wait for the node."""
        if len(self.nodes) > 1:
            raise Unavailable("grid engine has one node here")
        root, library = self.root, Path("/usr/lib/gridengine")
        common = root / "default/common"
        for path in (root / "qmaster/job_scripts", root / "execd", common):
            path.mkdir(parents=True)
        for name in ("bin", "lib", "utilbin"):
            (root / name).mkdir()
            (root / name / "lx-amd64").symlink_to(library)
        (root / "util").symlink_to("/usr/share/gridengine/util")
        (common / "act_qmaster").write_text(f"{self.host}\n")
        # 127.0.0.1 may have other names first.
        names = dict.fromkeys([self.host, "localhost", *self._names_of_localhost()])
        (common / "host_aliases").write_text(" ".join(names) + "\n")
        ports = free_ports(2)
        self.environment |= {
            "SGE_ROOT": str(root), "SGE_CELL": "default", "SGE_ARCH": "lx-amd64", "SGE_ND": "1",
            "SGE_QMASTER_PORT": str(ports[0]), "SGE_EXECD_PORT": str(ports[1]),
            "LD_LIBRARY_PATH": str(library),
            "PATH": f"{library}:{self.environment.get('PATH', '')}",
        }
        self._spool(common)
        self.daemon("sge_qmaster")
        self.wait_for(lambda: self.call("qconf", "-sh").returncode == 0, "no answer")
        self.daemon("sge_execd")
        self._make_queue()
        self.wait_for(self._reports, "its node does not report")

    @staticmethod
    def _names_of_localhost() -> list[str]:
        with contextlib.suppress(OSError):
            name, others, _ = socket.gethostbyaddr("127.0.0.1")
            return [name, *others]
        return []

    def _fill(self, name: str) -> Path:
        """A configuration file of grid engine, filled in."""
        text = (HERE / f"sge_{name}").read_text(encoding="utf-8")
        path = self.root / name
        path.write_text(text.format(root=self.root, host=self.host, cpus=self.cpus),
                        encoding="utf-8")
        return path

    def _spool(self, common: Path) -> None:
        shutil.copy(self._fill("bootstrap"), common / "bootstrap")
        resources = "/usr/share/gridengine/util/resources"
        spool = f"{common};{self.root}/qmaster"
        for words in (
            ["spoolinit", "classic", "libspoolc", spool, "init"],
            ["spooldefaults.bin", "configuration", str(self._configuration())],
            ["spooldefaults.bin", "complexes", f"{resources}/centry"],
            ["spooldefaults.bin", "usersets", f"{resources}/usersets"],
            ["spooldefaults.bin", "managers", self.user],
        ):
            done = self.call(*words)
            if done.returncode:
                raise Unavailable(f"{words[0]}: {(done.stderr or done.stdout).strip()}")

    def _configuration(self) -> Path:
        """Debian's configuration, with this directory, and jobs of any user."""
        ours = {"execd_spool_dir": f"{self.root}/execd", "min_uid": "0", "min_gid": "0",
                "load_report_time": "00:00:02", "mailer": "/bin/true"}
        text = Path("/usr/share/gridengine/default-configuration").read_text(encoding="utf-8")
        path = self.root / "configuration"
        path.write_text(_replaced(text, ours), encoding="utf-8")
        return path

    def _make_queue(self) -> None:
        self.ask("qconf", "-ah", self.host)
        self.ask("qconf", "-as", self.host)
        complexes = self.root / "complexes"
        # What sites add, by the names that Kaldi's recipes use.
        complexes.write_text(self.ask("qconf", "-sc") + "ram_free rf MEMORY <= YES NO 0 0\n"
                             "gpu g INT <= YES YES 0 0\n")
        self.ask("qconf", "-Mc", str(complexes))
        for option, name in (("-Ap", "parallel"), ("-Ahgrp", "hosts"), ("-Aq", "queue")):
            self.ask("qconf", option, str(self._fill(name)))
        schedule = self.root / "schedule"
        quick = {"schedule_interval": "0:0:1", "flush_submit_sec": "1", "flush_finish_sec": "1"}
        schedule.write_text(_replaced(self.ask("qconf", "-ssconf"), quick))
        self.ask("qconf", "-Msconf", str(schedule))

    def _reports(self) -> bool:
        rows = [line.split() for line in self.ask("qstat", "-f").splitlines()]
        return any(row[0].startswith("all.q@") and len(row) == 5 for row in rows if row)

    def numbers(self) -> list[str]:
        """The numbers of all jobs that are left."""
        return [line.split()[0] for line in self.ask("qstat").splitlines()[2:]]

    def cancel(self, numbers: list[str]) -> None:
        """End the jobs."""
        self.ask("qdel", *numbers)


def _replaced(text: str, values: dict[str, str]) -> str:
    """Lines of a name and a value, with other values for some."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return "".join(f"{name} {values.get(name, ' '.join(value))}\n" for name, *value in lines)


SYSTEMS = {"slurm": Slurm, "sge": GridEngine}


@contextlib.contextmanager
def running(name: str, cpus: int = 2, nodes: int = 1, keep: bool = False) -> Iterator[Cluster]:
    """Give a batch system that runs; Unavailable where there is none."""
    root = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    root.chmod(0o755)
    cluster = SYSTEMS[name](root, cpus, nodes)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        if keep:
            print(f"with_cluster.py: logs of the daemons: {root}", file=sys.stderr)
        else:
            shutil.rmtree(root, ignore_errors=True)


def main() -> int:
    """Exit status of the command, 77 if there is no such batch system."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpus", type=int, default=max(2, os.cpu_count() or 1),
                        help="of each node, true or not; default: as this machine, at least 2")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the daemons' directory")
    parser.add_argument("system", choices=sorted(SYSTEMS))
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    if not args.command:
        parser.error("a command is needed")
    try:
        with running(args.system, args.cpus, args.nodes, args.keep) as cluster:
            child = subprocess.Popen(args.command, env=cluster.environment)
            for number in (signal.SIGINT, signal.SIGTERM):
                # A terminal signals the command itself; a kill is passed on.
                signal.signal(number, lambda n, _: n == signal.SIGTERM and child.send_signal(n))
            return child.wait()
    except Unavailable as err:
        print(f"with_cluster.py: {args.system}: {err}", file=sys.stderr)
        return 77
    except OSError as err:
        print(f"with_cluster.py: error: {err.filename or ''}: {err.strerror}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Runs jobs on this machine: run.py [options] [JOB=a:b] LOG command args...

See runners/jobs.py.  At most --max-jobs-run jobs run at a time (default: the number of cores;
with --gpu N, as many as the visible GPUs allow; CUDA_VISIBLE_DEVICES assigns N to each job).
According to the logs of an earlier run, --pick failed runs the jobs that failed or did not end,
and --pick incomplete those that did not end.
"""

import sys

# The directory of this file contains a queue.py, which must not hide the standard library's.
sys.path.insert(0, sys.path.pop(0) + "/runners")

import os
import queue
import subprocess
import threading

import jobs


def visible_gpus() -> list[str]:
    """Return the usable GPUs: CUDA_VISIBLE_DEVICES, else the list of nvidia-smi."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [device for device in named.split(",") if device.strip()]
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(i) for i in range(sum(row.startswith("GPU ") for row in listing.splitlines()))]


def device_slots(job: jobs.Job) -> list[dict[str, str]]:
    """Return one environment for each job that may run at a time."""
    per_job = int(job.options.get("gpu", "0"))
    limit = int(job.options["max_jobs_run"]) if "max_jobs_run" in job.options else None
    gpus = visible_gpus() if per_job else []
    if gpus:
        if len(gpus) < per_job:
            raise jobs.UsageError(f"--gpu {per_job} asked for, {len(gpus)} GPUs are visible")
        slots = [
            {"CUDA_VISIBLE_DEVICES": ",".join(gpus[i : i + per_job])}
            for i in range(0, len(gpus) - per_job + 1, per_job)
        ]
        # More jobs than GPUs only on request: they share the devices in turn.
        return [slots[i % len(slots)] for i in range(limit or len(slots))]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [{} for _ in range(limit or cores or 1)]


class LocalRun:
    """All jobs of one command line, with one thread for each job that may run at a time."""

    def __init__(self, job: jobs.Job) -> None:
        self.job = job
        self.slots = device_slots(job)
        self.waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        chosen, self.failed = jobs.pick_jobs(job)
        for index in chosen:
            self.waiting.put(index)
        self.lock = threading.Lock()
        self.running: dict[int, subprocess.Popen] = {}
        self.stopping = False

    def run(self) -> dict[int, str]:
        """Return the failures (index -> reason) after the end of all jobs."""
        threads = [
            threading.Thread(target=self._work, args=(slot,), daemon=True)
            for slot in self.slots[: len(self.job.indices)]
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():  # in steps, so that signals are handled at once
                    thread.join(0.2)
        except jobs.Interrupted:
            with self.lock:
                self.stopping = True
                running = list(self.running.values())
            jobs.end_groups(running)
            for thread in threads:
                thread.join(jobs.GRACE_SECONDS)
            raise
        return self.failed

    def _work(self, slot: dict[str, str]) -> None:
        while True:
            try:
                index = self.waiting.get_nowait()
            except queue.Empty:
                return
            if self.stopping:
                return
            reason = self._run_one(index, slot)
            with self.lock:
                self.running.pop(index, None)
                if reason:
                    self.failed[index] = reason

    def _run_one(self, index: int, slot: dict[str, str]) -> str:
        try:
            code = jobs.run_logged(self.job, index, lambda p: self._started(index, p), slot)
        except OSError as err:
            return f"job {index} could not run: {err.filename or ''}: {err.strerror}"
        return f"job {index} ended with code {code}" if code else ""

    def _started(self, index: int, process: subprocess.Popen) -> None:
        with self.lock:
            self.running[index] = process
            late = self.stopping
        if late:  # started at the moment of the interruption
            jobs.end_groups([process])


def main(job: jobs.Job) -> int:
    """Return 0 if all jobs succeeded, else 1."""
    return jobs.report_failures("run.py", job, LocalRun(job).run())


if __name__ == "__main__":
    sys.exit(jobs.main_of("run.py", main))

"""Training loop: steps, validation, checkpoints, stop and resume.

A training can be killed at any moment; the same command resumes from ``last.pth`` and, on the
CPU with the same number of threads, yields the same bits.  The state consists of weights,
moments and the number of the step: examples are a function of their number, and the random
numbers of a micro-batch are a function of the step and the position in it.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from diarize.config import write_yaml
from diarize.errors import DiarizeError
from diarize.train.checkpoint import (
    BestList,
    TrainingProgress,
    load_training,
    lock_directory,
    save_training,
)
from diarize.train.distributed import Group, process_group
from diarize.train.feed import check_batch, feed
from diarize.train.memory import GB, Probe, find_accumulation
from diarize.train.optim import learning_rate
from diarize.train.options import TrainOptions, fingerprint
from diarize.train.reporter import Reporter
from diarize.train.signals import StopSignals
from diarize.train.step import Stepper
from diarize.train.task import Task

_TIME_IS_UP = 1


class Trainer:
    """Trainer of ``task`` in ``out_dir``: last.pth, best/, train_log.jsonl, tensorboard/.

    ``meta`` (plain values: the whole configuration) is stored in every model file, and its
    ``config`` in config.yaml after the check that the training can be resumed.  ``identity``
    (plain values: model, losses), ``data`` (`identity.describe_run`) and the options that change
    the result must be the same when a training is resumed.  After `run`, ``progress`` contains
    the last step, the best validations and the elapsed seconds.
    """

    def __init__(
        self, task: Task, options: TrainOptions, out_dir: str | Path, *,
        meta: Mapping[str, Any] | None = None, identity: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.task, self.options, self.out = task, options, Path(out_dir)
        self.meta = dict(meta or {})
        settings = fingerprint(options, dict(identity or {}))
        self.progress = TrainingProgress(fingerprint=settings, data=dict(data or {}))

    def run(self) -> int:
        """Train; return the exit status: 0 when done or out of time, 130 or 143 after a signal.

        Raises DiarizeError for unusable data or checkpoints, files that cannot be written,
        a loss that is not finite, and a lost rank.
        """
        started = time.monotonic()
        if self.options.threads:
            torch.set_num_threads(self.options.threads)
        with (
            process_group(self.options.device) as group,
            lock_directory(self.out) if group.is_main else nullcontext(),
        ):
            check_batch(self.options, group)
            return _Run(self, group, started).go()


class _Run:
    """One run of a Trainer in one process."""

    def __init__(self, trainer: Trainer, group: Group, started: float) -> None:
        self.options, self.group, self.progress = trainer.options, group, trainer.progress
        self.task, self.meta, self.out = trainer.task, trainer.meta, trainer.out
        self.stepper = Stepper(trainer.task, trainer.options, group)
        self._load()
        self._offset = started - self.progress.elapsed
        self.best = BestList(self.out / "best", self.options.keep_best, self.progress.best)
        self.reporter: Reporter | None = None
        if group.is_main:
            for stale in self.out.glob(".last.pth.*.tmp"):
                stale.unlink(missing_ok=True)
            self.best.prune()
            if "config" in self.meta:
                write_yaml(self.out / "config.yaml", self.meta["config"])
            self.reporter = Reporter(
                self.out, self.options.steps, self.progress.step, self.options.tensorboard,
                self.progress.pending_validation,
            )
        self._busy = self._waiting = 0.0
        self._logged = self._saved = self.progress.step

    @property
    def last_path(self) -> Path:
        return self.out / "last.pth"

    def _load(self) -> None:
        # The main process may write the first checkpoint only after all ranks have looked for it.
        if self.group.maximum(int(self.last_path.exists())):
            found = load_training(
                self.last_path, self.stepper.model, self.stepper.optimizer,
                self.progress.fingerprint, self.progress.data,
            )
            # From now on settings and data are recorded as this version describes them.
            found.fingerprint, found.data = self.progress.fingerprint, self.progress.data
            self.progress.__dict__.update(found.__dict__)

    def go(self) -> int:
        """Run the remaining steps and validations; return the exit status."""
        progress, options = self.progress, self.options
        try:
            with StopSignals() as signals:
                if progress.step:
                    self._say(f"going on from step {progress.step} of {self.last_path}")
                if progress.pending_validation and (code := self._validate(signals)):
                    self._say(_ending(code, progress))
                    return code
                if progress.step >= options.steps:
                    self._say(f"already trained for {progress.step} steps")
                    return 0
                if progress.step and self._out_of_time():
                    self._say("the seconds for training are used up (max_seconds, "
                              "max_cpu_seconds)")
                    return 0
                code = self._loop(signals)
                self._say(_ending(code, progress))
                return 0 if code == _TIME_IS_UP else code
        finally:
            if self.reporter is not None:
                self.reporter.close()

    def _fit(self) -> None:
        """Set the number of micro-batches if ``accumulation`` is auto."""
        if self.options.accumulation == "auto":
            probe = Probe(
                self.stepper.rehearse, self.group.device, self.stepper.bytes_to_come(),
                self.options.max_memory,
            )
            number = find_accumulation(self.options, self.group, probe, self.progress.parts)
            self.options = replace(self.options, accumulation=number)
            self.stepper.options = self.options
            size = -(-self.options.batch_size // (self.group.world * number))
            self._say(f"accumulation auto: {number} micro-batches of up to {size} examples in each "
                      f"process, {probe.bytes / GB:.2f} GB of {probe.limit / GB:.2f} GB")
        self.progress.parts = self.group.world * self.options.parts

    def _loop(self, signals: StopSignals) -> int:
        self._fit()
        options, progress = self.options, self.progress
        batches = feed(self.task, options, self.group, progress.step)
        for step in range(progress.step, options.steps):
            begin, cpu = time.monotonic(), time.process_time()
            try:
                share = self._fetch(batches)
                self._waiting += time.monotonic() - begin
                self._step(step, share)
            except Exception:
                self._rescue()
                raise
            progress.step = step + 1
            progress.cpu_elapsed += time.process_time() - cpu
            self._busy += time.monotonic() - begin
            # The maximum, so that a signal has priority over the time limit.
            code = self.group.maximum(signals.code or self._out_of_time() * _TIME_IS_UP)
            last = progress.step == options.steps
            ending = bool(code) or last
            if ending or _due(options.log_interval, progress.step):
                self._log()
            if _due(options.valid_interval, progress.step) or last or code == _TIME_IS_UP:
                progress.pending_validation = True
            if progress.pending_validation or ending or _due(options.save_interval, progress.step):
                # Also before a validation: a validation that is killed loses no step.
                self._save()
            if progress.pending_validation and code <= _TIME_IS_UP:
                code = self._validate(signals) or code
            if code:
                return code
        return 0

    def _fetch(self, batches: Iterator[Any]) -> list[Any]:
        """Return the micro-batches of a step; every rank raises the error of any of them.

        Otherwise the main process would wait for the lost rank, and be ended before it saves.
        """
        share, fault = [], ""
        try:
            share = [next(batches) for _ in range(self.options.accumulation)]
        except DiarizeError as err:
            fault = str(err)
        if self.group.maximum(int(bool(fault))):
            faults = self.group.gather(fault)
            rank = next(i for i, text in enumerate(faults) if text)
            raise DiarizeError(fault or f"stopped by the error of rank {rank}: {faults[rank]}")
        return share

    def _step(self, step: int, share: list[Any]) -> None:
        try:
            self.stepper.run(step, share)
        except torch.OutOfMemoryError as err:
            raise DiarizeError(
                f"training step {step + 1}: out of memory with train.accumulation "
                f"{self.options.accumulation} ({str(err).splitlines()[0]}): set it to "
                f"{2 * self.options.accumulation}, or set train.gradient_checkpointing=true; the "
                "same command resumes from the last checkpoint"
            ) from None

    def _rescue(self) -> None:
        """Save the state after the last finished step; nothing is raised.

        No other rank takes part: it may be gone.
        """
        progress, stepper = self.progress, self.stepper
        if self.reporter is None or stepper.updating:
            return
        try:
            bad = stepper.first_bad_step()
            progress.step = min(progress.step, bad) if bad >= 0 else progress.step
            if progress.step > self._saved:
                self._write()
                self._say(f"stopped by an error after {progress.step} steps, saved: the same "
                          "command resumes")
        except (DiarizeError, OSError, RuntimeError) as err:
            # The error that follows is the cause; this one is a consequence, or a full disk.
            self._say(f"the state after {progress.step} steps could not be saved: {err}")

    def _out_of_time(self) -> bool:
        """True on the main process when the time limit is reached."""
        o = self.options
        spent = ((o.max_seconds, self._elapsed()), (o.max_cpu_seconds, self.progress.cpu_elapsed))
        return self.group.is_main and any(x is not None and used >= x for x, used in spent)

    def _elapsed(self) -> float:
        return time.monotonic() - self._offset

    def _validate(self, signals: StopSignals) -> int:
        """Validate and save; return the code of a signal, which ends it at the next batch.

        The validation is then repeated by the next run.
        """
        self.stepper.check()
        summary = self.stepper.validate(self.progress.step, lambda: signals.code)
        if summary is None:
            return self.group.maximum(signals.code)
        step = self.progress.step
        if self.reporter is not None:
            meta = {**self.meta, "valid": summary}
            state = self.stepper.model.state_dict()
            kept = self.best.add(step, summary["der"], state, meta)
            self.reporter.valid(step, summary, kept)
        self.progress.pending_validation = False
        self._save()
        if self.reporter is not None:
            self.best.prune()
        return 0

    def _save(self) -> None:
        self.stepper.check()
        self._write()

    def _write(self) -> None:
        self.progress.best = self.best.entries
        self.progress.elapsed = self._elapsed()
        if self.reporter is not None:
            save_training(
                self.last_path, self.stepper.model.state_dict(), self.stepper.optimizer,
                self.progress, self.meta,
            )
        self._saved = self.progress.step

    def _log(self) -> None:
        self.stepper.check()
        begin = time.monotonic()
        means, seconds = self.stepper.take()
        self._busy += time.monotonic() - begin  # on a GPU the steps are complete only here
        steps, step = self.progress.step - self._logged, self.progress.step
        busy = max(self._busy, 1e-9)
        figures = {
            **means,
            "lr": learning_rate(self.options, step - 1),
            "example_rate": steps * self.options.batch_size / busy,
            "audio_rate": seconds / busy,
            "data_share": self._waiting / busy,
            "elapsed": self._elapsed(),
            "cpu_elapsed": self.progress.cpu_elapsed,
        }
        if self.group.device.type == "cuda":
            figures["gpu_peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        left = (self.options.steps - step) * busy / max(steps, 1)
        if self.options.max_seconds is not None:
            left = min(left, self.options.max_seconds - self._elapsed())
        if self.reporter is not None:
            self.reporter.train(step, figures, left)
        self._busy = self._waiting = 0.0
        self._logged = step

    def _say(self, text: str) -> None:
        if self.reporter is not None:
            self.reporter.event(self.progress.step, text)


def _due(interval: int, step: int) -> bool:
    return interval > 0 and step % interval == 0


def _ending(code: int, progress: TrainingProgress) -> str:
    state = f"after {progress.step} steps and {progress.elapsed:.0f} s, saved"
    if code > _TIME_IS_UP:
        return f"stopped by a signal {state}: the same command resumes"
    return f"out of time {state}" if code else f"done {state}"

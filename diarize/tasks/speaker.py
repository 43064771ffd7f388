"""Speaker diarization: labels, model, criterion and validation of EEND-M2F, in one object."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from diarize.data.examples import Batch, Example, collate
from diarize.data.sources import DataDirSource, RandomCrops, make_example, open_source
from diarize.errors import DiarizeError, require_at_least
from diarize.losses.criterion import Criterion, CriterionOptions
from diarize.models.eend_m2f import EendM2f, EendM2fOptions
from diarize.nn.outputs import QueryPredictions
from diarize.train.mask_der import mask_der_stats

# The model, as it is or wrapped for several processes: (waveforms, lengths) -> predictions.
Forward = Callable[[Tensor, Tensor], QueryPredictions]


@dataclass(frozen=True)
class DataOptions:
    """Training crops: their length, and how much decoded audio each worker may keep.

    ``speed`` (low, high) is the range of speed perturbation; null: none, as in the paper.
    """

    crop_seconds: float = 50.0
    speed: tuple[float, float] | None = None
    cache_mb: int = 512

    def __post_init__(self) -> None:
        if self.crop_seconds <= 0:
            raise ValueError(f"crop_seconds must be positive, not {self.crop_seconds}")
        require_at_least(0, cache_mb=self.cache_mb)
        if self.speed is not None and not 0.5 <= self.speed[0] <= self.speed[1] <= 2.0:
            raise ValueError(f"speed must be a range within 0.5 to 2, not {list(self.speed)}")


@dataclass(frozen=True)
class ValidOptions:
    """How the validation DER that chooses checkpoints is taken.

    The lowest DER over the activity thresholds ``thetas`` counts, since the class head
    is calibrated later than the masks.  At most ``max_recordings`` recordings (0: all),
    each cut to its first ``max_seconds`` (0: whole), are used.
    """

    thetas: list[float] = field(default_factory=lambda: [0.3, 0.5, 0.7, 0.8, 0.9])
    threshold: float = 0.5
    collar: float = 0.0
    batch_seconds: float = 600.0
    max_seconds: float = 0.0
    max_recordings: int = 0

    def __post_init__(self) -> None:
        if not self.thetas or not all(0 <= t < 1 for t in self.thetas):
            raise ValueError("thetas must be one or more probabilities below 1")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold must lie between 0 and 1, not {self.threshold}")
        require_at_least(0, collar=self.collar, batch_seconds=self.batch_seconds)
        require_at_least(0, max_seconds=self.max_seconds, max_recordings=self.max_recordings)


@dataclass(frozen=True)
class SpeakerOptions:
    """Everything that a training of EEND-M2F can be told, but for the optimisation."""

    model: EendM2fOptions = field(default_factory=EendM2fOptions)
    criterion: CriterionOptions = field(default_factory=CriterionOptions)
    data: DataOptions = field(default_factory=DataOptions)
    valid: ValidOptions = field(default_factory=ValidOptions)


class SpeakerTask:
    """What the trainer needs to know of speaker diarization."""

    name = "speaker"

    def __init__(self, options: SpeakerOptions, seed: int = 0) -> None:
        self.options = options
        self.seed = seed
        self.model = build_model(options, seed)
        self.grid = self.model.grid
        self.criterion = Criterion(options.criterion)
        self._crops: RandomCrops | None = None
        self._valid: DataDirSource | None = None

    def load_data(self, train: list[str], valid: str | None, allow_pipes: bool = False) -> None:
        """Open the training sources (manifests or data directories) and the validation set.

        Audio that comes from a command is taken only with ``allow_pipes``.
        """
        data = self.options.data
        rate = self.grid.sample_rate
        sources = [open_source(path, rate, data.cache_mb << 20, allow_pipes) for path in train]
        self._crops = RandomCrops(sources, data.crop_seconds, self.grid, self.seed, data.speed)
        if valid is not None:
            self._valid = DataDirSource(valid, rate, allow_pipes)
            if not any(self._valid.reference.values()):
                raise DiarizeError(f"{valid}: no speech in its reference to validate on")
            # A file that is missing shall be told now, not hours later.
            self._valid.check_headers()

    def example(self, index: int) -> Example:
        """Return training example ``index``: a function of the seed and ``index`` alone."""
        return self._crops[index]

    def collate(self, examples: list[Example]) -> Batch:
        """Return the examples as one batch."""
        return collate(examples, self.grid.sample_rate)

    def normalizers(self, batch: Batch) -> Tensor:
        """Return the denominators of the loss terms, float64 (3,)."""
        queries = self.options.model.decoder.queries
        return self.criterion.normalizers(batch.num_frames, batch.num_speakers, queries)

    def loss(
        self, forward: Forward, batch: Batch, normalizers: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of ``batch`` and its terms; ``forward`` is the (wrapped) model."""
        predictions = forward(batch.waveforms, batch.num_samples)
        return self.criterion.loss(
            predictions, batch.targets, batch.num_speakers, normalizers, batch.names
        )

    @torch.no_grad()
    def validate(
        self, forward: Forward, device: torch.device, rank: int = 0, world: int = 1
    ) -> dict[str, Tensor]:
        """Return sums over every ``world``-th validation recording, from ``rank`` on.

        ``stats`` (thetas, 4) holds frames scored, missed, false and confused for each
        theta, ``counted`` (thetas,) the recordings with the right number of speakers,
        ``recordings`` their number.
        """
        o = self.options.valid
        thetas = torch.tensor(o.thetas, device=device)
        collar = self.grid.to_frame(o.collar)
        stats = torch.zeros(len(thetas), 4, dtype=torch.float64)
        counted = torch.zeros(len(thetas), dtype=torch.float64)
        recordings = torch.zeros((), dtype=torch.float64)
        for host_batch in self._valid_batches(rank, world):
            batch = host_batch.to(device)
            predictions = forward(batch.waveforms, batch.num_samples).last()
            masks = predictions.mask_logits()[0].sigmoid() > o.threshold  # (B, T, N)
            activity = predictions.activity_logits[0].float().sigmoid()  # (B, N)
            reference = batch.targets > 0.5
            speakers = torch.tensor(batch.num_speakers, device=device)
            for i, theta in enumerate(thetas):
                kept = activity > theta
                system = masks & kept[:, None, :]
                found = mask_der_stats(system, reference, batch.num_frames, collar)
                stats[i] += found.sum(0).cpu()
                counted[i] += (kept.sum(1) == speakers).sum().cpu()
            recordings += len(batch.names)
        return {"stats": stats, "counted": counted, "recordings": recordings}

    def summarize(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """Return DER and its parts in percent at the best theta, and the count accuracy.

        Raises DiarizeError where no reference speech was scored.
        """
        stats, counted = sums["stats"], sums["counted"]
        if not stats[0, 0]:
            raise DiarizeError(
                "the validation set has no speech in what is scored of it, so there is no DER; "
                "see its rttm, and the section valid of the configuration"
            )
        errors = stats[:, 1:].sum(1)
        best = int(errors.argmin())
        scored = float(stats[best, 0])
        miss, false_alarm, confusion = (100 * float(x) / scored for x in stats[best, 1:])
        return {
            "der": miss + false_alarm + confusion,
            "miss": miss,
            "fa": false_alarm,
            "conf": confusion,
            "theta": self.options.valid.thetas[best],
            "count_acc": 100 * float(counted[best]) / float(sums["recordings"]),
        }

    def _valid_batches(self, rank: int, world: int) -> Iterator[Batch]:
        source, o = self._valid, self.options.valid
        limit = self.grid.to_samples(o.max_seconds) if o.max_seconds else None
        count = min(len(source), o.max_recordings) if o.max_recordings else len(source)
        lengths = [source.num_samples(i) for i in range(count)]
        lengths = [n if limit is None else min(n, limit) for n in lengths]
        order = sorted(range(count), key=lambda i: (-lengths[i], i))[rank::world]
        waiting: list[Example] = []
        for i in order:
            waveform, segments = source.read(i, 0, lengths[i])
            waiting.append(make_example(source.name(i), waveform, segments, self.grid))
            longest = len(waiting[0].waveform) / self.grid.sample_rate
            if longest * (len(waiting) + 1) > o.batch_seconds:
                yield self.collate(waiting)
                waiting = []
        if waiting:
            yield self.collate(waiting)


def build_model(options: SpeakerOptions, seed: int = 0) -> EendM2f:
    """Return a freshly initialised EEND-M2F; the weights depend on ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return EendM2f(options.model)

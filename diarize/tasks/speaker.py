"""Speaker diarization: labels, model, criterion and validation of EEND-M2F."""

from dataclasses import dataclass, field

import torch

from diarize.infer.postprocess import SPEAKER
from diarize.losses.criterion import Criterion, CriterionOptions
from diarize.models.eend_m2f import EendM2f, EendM2fOptions
from diarize.tasks.base import DataOptions, QueryTask
from diarize.tasks.validation import ValidOptions


@dataclass(frozen=True)
class SpeakerOptions:
    """Options of a training of EEND-M2F, except those of the optimisation."""

    model: EendM2fOptions = field(default_factory=EendM2fOptions)
    """Model."""
    criterion: CriterionOptions = field(default_factory=CriterionOptions)
    """Training criterion."""
    data: DataOptions = field(default_factory=DataOptions)
    """Training crops."""
    valid: ValidOptions = field(default_factory=ValidOptions)
    """Validation."""


class SpeakerTask(QueryTask):
    """Speaker diarization as a task of the trainer."""

    name = "speaker"
    postprocessor = SPEAKER

    def __init__(self, options: SpeakerOptions, seed: int = 0) -> None:
        super().__init__(options, build_model(options, seed), Criterion(options.criterion), seed)


def build_model(options: SpeakerOptions, seed: int = 0) -> EendM2f:
    """Return a freshly initialised EEND-M2F; the weights depend on ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return EendM2f(options.model)

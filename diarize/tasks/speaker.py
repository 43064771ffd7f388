"""Speaker diarization: labels, models, criteria and validation of EEND-M2F and EEND-EDA."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from diarize.data.examples import Batch, Example
from diarize.infer.postprocess import SPEAKER
from diarize.losses.criterion import Criterion, CriterionOptions
from diarize.losses.eda import EdaCriterion, EdaCriterionOptions
from diarize.models.eend_eda import EendEda, EendEdaOptions
from diarize.models.eend_m2f import EendM2f, EendM2fOptions
from diarize.nn.outputs import QueryPredictions
from diarize.tasks.base import DataOptions, Forward, QueryTask
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


@dataclass(frozen=True)
class EdaOptions:
    """Options of a training of EEND-EDA, except those of the optimisation."""

    model: EendEdaOptions = field(default_factory=EendEdaOptions)
    """Model."""
    criterion: EdaCriterionOptions = field(default_factory=EdaCriterionOptions)
    """Training criterion."""
    data: DataOptions = field(default_factory=DataOptions)
    """Training crops."""
    valid: ValidOptions = field(default_factory=ValidOptions)
    """Validation."""


class SpeakerTask(QueryTask):
    """Speaker diarization by EEND-M2F as a task of the trainer."""

    name = "speaker"
    postprocessor = SPEAKER

    def __init__(self, options: SpeakerOptions, seed: int = 0) -> None:
        super().__init__(options, build_model(options, seed), Criterion(options.criterion), seed)


class EdaTask(QueryTask):
    """Speaker diarization by EEND-EDA as a task of the trainer.

    In training, the LSTM reads the frames of an example in a random order, which is a function of
    the seed and the number of the example.
    """

    name = "speaker"
    postprocessor = SPEAKER

    def __init__(self, options: EdaOptions, seed: int = 0) -> None:
        criterion = EdaCriterion(options.criterion)
        super().__init__(options, build_model(options, seed), criterion, seed)

    def example(self, index: int) -> Example:
        """Return training example ``index`` with a random order of its frames."""
        example = super().example(index)
        rng = np.random.default_rng([self.seed, 3, index])
        return replace(example, order=rng.permutation(len(example.activity)))

    def predict(self, forward: Forward, batch: Batch) -> QueryPredictions:
        """Return the predictions of a training step, with the order of the batch."""
        lengths = None if batch.unpadded else batch.num_samples
        return forward(batch.waveforms, lengths, batch.order)


def build_model(options: SpeakerOptions | EdaOptions, seed: int = 0) -> EendM2f | EendEda:
    """Return a freshly initialised model; the weights depend on ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(options.model, EendEdaOptions):
            return EendEda(options.model)
        return EendM2f(options.model)

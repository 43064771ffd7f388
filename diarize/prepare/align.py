"""Word times by forced alignment with a CTC model, torchaudio's MMS_FA.

The model has Latin letters only.  A word in another script without a romanisation is aligned as
one token for any sound (the star of MMS_FA).
"""

import itertools
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from diarize.errors import DiarizeError
from diarize.io.ctm import Word

SAMPLE_RATE = 16000
STAR = "*"
_WEIGHTS = "model.pt"


def spell(word: str, labels: Sequence[str]) -> list[int]:
    """Return the numbers of ``word``'s letters in ``labels``, marks left out; else the star.

    >>> spell("Été", ["-", "e", "t", "*"]), spell("一", ["-", "e", "*"])
    ([1, 2, 1], [2])
    """
    index = {label: i for i, label in enumerate(labels)}
    plain = unicodedata.normalize("NFD", word.lower())
    letters = [index[sign] for sign in plain if sign in index and sign not in ("-", STAR)]
    bare = [sign for sign in plain if unicodedata.category(sign)[0] in "LN"]
    return letters if letters and len(letters) >= len(bare) else [index[STAR]]


def align_words(
    log_probs: Tensor, words: Sequence[str], spellings: Sequence[Sequence[int]], seconds: float
) -> list[Word]:
    """Return the words with times: from their first letter's frame to their last one's end.

    ``log_probs`` (T, C) with blank 0 covers ``seconds``.  Raises DiarizeError where there are
    more letters than frames.
    """
    from torchaudio.functional import forced_align

    targets = [token for spelling in spellings for token in spelling]
    repeats = sum(a == b for a, b in itertools.pairwise(targets))
    num_frames = log_probs.shape[0]
    if len(targets) + repeats > num_frames:
        raise DiarizeError(
            f"{len(targets)} letters do not fit into {seconds:.2f} s; check the transcript"
        )
    path = forced_align(log_probs[None], torch.tensor([targets], dtype=torch.int32))[0][0]
    spans = _letter_spans(path.tolist())
    scale = seconds / num_frames
    out, at = [], 0
    for word, spelling in zip(words, spellings, strict=True):
        first, last = spans[at][0], spans[at + len(spelling) - 1][1]
        out.append(Word(first * scale, last * scale, word))
        at += len(spelling)
    return out


def _letter_spans(path: list[int]) -> list[tuple[int, int]]:
    """Return the frames [first, last) of each letter of a CTC path; 0 is the blank."""
    spans: list[tuple[int, int]] = []
    before = 0
    for frame, token in enumerate(path):
        if token != 0:
            if token == before:
                spans[-1] = (spans[-1][0], frame + 1)
            else:
                spans.append((frame, frame + 1))
        before = token
    return spans


class MmsAligner:
    """torchaudio's MMS_FA with the weights in directory ``cache``.

    They are fetched (1.2 GB) only with ``download``; else DiarizeError states where they have to
    be.  Models of this kind are under CC BY-NC 4.0.
    """

    def __init__(self, cache: str | Path, download: bool = False, device: str = "cpu") -> None:
        from torchaudio.pipelines import MMS_FA

        if not download and not (Path(cache) / _WEIGHTS).is_file():
            raise DiarizeError(
                f"{Path(cache) / _WEIGHTS}: no weights of MMS_FA: use --download to fetch them "
                "(1.2 GB, CC BY-NC 4.0), or put them there"
            )
        self.labels = MMS_FA.get_labels()
        self.device = torch.device(device)
        self.model = MMS_FA.get_model(dl_kwargs={"model_dir": str(cache)}).to(self.device)

    @torch.inference_mode()
    def __call__(self, samples: Tensor) -> Tensor:
        """Return the log probabilities (T, C) of ``samples`` (n,) at 16 kHz, on the CPU."""
        return self.model(samples[None].to(self.device))[0][0].float().cpu()

"""Simulated conversations: single utterances in the order and timing of real turn-taking.

After Landini et al. 2022 (arXiv 2204.00890).  Pauses and overlaps between turns are drawn from
statistics of real conversations (:mod:`diarize.simulate.draw.turn_taking`), whereas the mixtures
of Fujita 2019 (:mod:`diarize.simulate.draw.mixtures`) place each speaker independently of the
others.  As in the paper, the utterances of a speaker keep the order that they have in the corpus,
starting from a random one.  The manifest entries have the same form as those of mixtures.

Turn n follows turn n - 1.  With the probability of a hold it has the same speaker, after a pause.
Otherwise it has another speaker, each with equal probability, after a pause or in overlap.  An
overlap is drawn from the lengths that fit: both turns are at least as long, and the speaker's own
last turn has ended.  Beginnings and ends of turns therefore have the same order, and no speaker
overlaps himself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np

from diarize.checks import require
from diarize.errors import DiarizeError
from diarize.kaldi.datadir import DataDir
from diarize.simulate.draw.common import DECIMALS, SpeakerOptions, utterances_by_speaker
from diarize.simulate.draw.turn_taking import TurnStatistics

_TRIES = 100


@dataclass(frozen=True)
class ConversationOptions(SpeakerOptions):
    """Options of simulated conversations.

    ``speakers`` (low, high): range of the number of speakers, each number in turn.  The number
    of turns is that of Alg. 1 of Fujita 2019: ``min_utts`` to ``max_utts`` are drawn for each
    speaker and added.  The turn-taking distributes the turns; each speaker has at least one.
    """

    speakers: tuple[int, int]
    _: KW_ONLY
    prefix: str = "conv_"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.speakers[0] <= self.speakers[1], "speakers", self.speakers,
                "a range (low, high) of 1 or more")


class _Pool(NamedTuple):
    """Utterances of one speaker, in manifest form, and their lengths in seconds."""

    name: str
    items: list
    seconds: list[float]


def make_conversations(
    data: DataDir,
    statistics: TurnStatistics,
    options: ConversationOptions,
    noises: Sequence[str] = (),
    rirs: Sequence[str] = (),
    rooms: Sequence[Sequence[str]] = (),
) -> Iterator[tuple[str, dict]]:
    """Yield (id, mixture) for each conversation, ids ``<prefix>0000001``... in C order.

    ``noises`` and ``rirs`` are audio files, ``rooms`` those of `SpeakerOptions.place`; they do
    not change speakers, utterances and times.
    Conversation i depends on ``options.seed`` and i alone.  One conversation is in memory at a
    time.  Raises DiarizeError for too few speakers in ``data``, and for ``statistics`` that
    lack a required distribution.
    """
    pools = [
        _Pool(name, [item for item, _ in found], [
            data.duration(utt.recording) if utt.end is None else utt.end - utt.start
            for _, utt in found
        ])
        for name, found in utterances_by_speaker(data).items()
    ]  # fmt: skip
    low, high = options.speakers
    if len(pools) < high:
        raise DiarizeError(
            f"{data.path}: {len(pools)} speakers, but up to {high} are wanted in each "
            "conversation; give a larger data directory or fewer speakers"
        )
    if low == 1 and statistics.pause_same is None:
        raise DiarizeError("statistics: no pause between turns of one speaker was ever seen")
    if high > 1 and statistics.turn_hold == 1:
        raise DiarizeError("statistics: the speaker never changes: no conversation of several")
    return _draw_all(pools, statistics, options, noises, rirs, rooms)


def _draw_all(
    pools: list[_Pool],
    statistics: TurnStatistics,
    options: ConversationOptions,
    noises: Sequence[str],
    rirs: Sequence[str],
    rooms: Sequence[Sequence[str]],
) -> Iterator[tuple[str, dict]]:
    low, high = options.speakers
    names = [pool.name for pool in pools]
    for index, name, rng in options.mixtures():
        number = low + index % (high - low + 1)
        chosen = [pools[i] for i in options.choose(names, number, rng)]
        turns = int(rng.integers(options.min_utts, options.max_utts + 1, size=number).sum())
        order = draw_order(number, turns, statistics.turn_hold, rng)
        rows = _place(chosen, order, statistics, rng)
        coins, picks = rng.random(number), rng.random(number + 2)
        for row, coin, pick in zip(rows, coins, picks, strict=False):
            row["rir"] = rirs[int(pick * len(rirs))] if rirs and coin < options.rir_prob else None
        options.place(index, rows, rooms)
        yield name, {
            "speakers": rows,
            "noise": noises[int(picks[-2] * len(noises))] if noises else None,
            "snr": options.snrs[int(picks[-1] * len(options.snrs))] if noises else None,
            "recid": name,
        }


def draw_order(speakers: int, turns: int, hold: float, rng: np.random.Generator) -> list[int]:
    """Return the speaker of each turn; speaker 0 has the first, each speaker at least one."""
    if speakers == 1:
        return [0] * turns
    for _ in range(_TRIES):
        # A step of 0 is a hold; the other steps lead to the other speakers, equally probable.
        steps = rng.integers(1, speakers, size=turns) * (rng.random(turns) >= hold)
        steps[0] = 0
        order = np.cumsum(steps) % speakers
        if len(np.unique(order)) == speakers:
            return order.tolist()
    # Rare: few turns, or a probability of a hold near 1.  Each speaker then begins once, in turn.
    return [*range(speakers), *order[speakers:].tolist()]


def _place(
    chosen: list[_Pool], order: list[int], statistics: TurnStatistics, rng: np.random.Generator
) -> list[dict]:
    """Return a row for each speaker, with the utterances at the times of the turns."""
    firsts = [int(rng.integers(len(pool.items))) for pool in chosen]
    rows = [{"spkid": pool.name, "rir": None, "utts": [], "intervals": []} for pool in chosen]
    ends = [0.0] * len(chosen)  # of each speaker's last turn
    last, end, before = None, 0.0, 0.0  # speaker, end and length of the previous turn
    for speaker, coin, share in zip(order, *rng.random((2, len(order))).tolist(), strict=True):
        pool, row = chosen[speaker], rows[speaker]
        item = (firsts[speaker] + len(row["utts"])) % len(pool.items)
        seconds = pool.seconds[item]
        if last is None:
            lead = statistics.pause_different or statistics.pause_same
            start = lead.draw(share) if lead else 0.0
        elif speaker == last:
            start = end + statistics.pause_same.draw(share)
        elif coin >= statistics.overlap:
            start = end + statistics.pause_different.draw(share)
        else:
            limit = min(before, seconds, end - ends[speaker])
            start = end - statistics.overlap_seconds.draw(share, limit)
        silence = max(0.0, round(start - ends[speaker], DECIMALS))
        row["utts"].append(pool.items[item])
        row["intervals"].append(silence)
        ends[speaker] += silence + seconds
        last, end, before = speaker, ends[speaker], seconds
    return rows

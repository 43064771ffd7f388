"""What must hold for any reference and any output: properties over random segments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diarize.errors import DiarizeError
from diarize.score.analysis import by_active_speakers, by_speaker, by_switch, purity_coverage
from diarize.score.columns import problem_from_segments
from diarize.score.der import Evaluation, ScoreOptions, score_files
from diarize.score.jer import jaccard_errors
from diarize.score.mapping import match
from diarize.score.significance import bootstrap, compare
from diarize.score.times import TIME_FIELDS, ErrorTimes
from diarize.segments import Segment
from diarize.timebase import FrameGrid
from diarize.train.mask_der import mask_der_stats

RUNS = settings(max_examples=150, deadline=None)


@st.composite
def segments(draw, least=0):
    """Segments of one or two recordings, on a grid of 1/64 s so that sums are exact."""
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from("ab"),
                st.integers(0, 640),
                st.integers(1, 320),
                st.sampled_from("xyz"),
            ),
            min_size=least,
            max_size=12,
        )
    )
    return [Segment(r, a / 64, (a + n) / 64, label) for r, a, n, label in rows]


def row(times):
    return [getattr(times, name) for name in TIME_FIELDS]


WHOLE = {"a": [(0.0, 20.0)], "b": [(0.0, 20.0)]}
TEN = {"r": [(0.0, 10.0)]}


@RUNS
@given(segments(1), segments(), st.sampled_from([0.0, 0.25, 1.0]), st.booleans(), st.randoms())
def test_names_and_order_do_not_matter(ref, sys, collar, skip, rnd):
    options = ScoreOptions(collar, skip)
    base = score_files(ref, sys, WHOLE, options).total
    renamed = [s._replace(label=f"new{ord(s.label) * 7 % 11}") for s in sys]
    rnd.shuffle(ref)
    rnd.shuffle(renamed)
    other = score_files(ref, renamed, WHOLE, options).total
    # Equally good mappings may differ inside collars and overlap: all else may not.
    keep = slice(None) if collar == 0 and not skip else [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert np.allclose(np.array(row(base))[keep], np.array(row(other))[keep], atol=1e-9)


@RUNS
@given(segments(1), segments(), st.integers(0, 10000), st.sampled_from([0.0, 0.25]))
def test_a_shift_of_time_does_not_matter(ref, sys, shift, collar):
    move = shift / 64
    later = [[s._replace(start=s.start + move, end=s.end + move) for s in x] for x in (ref, sys)]
    uem = {name: [(a + move, b + move) for a, b in spans] for name, spans in WHOLE.items()}
    options = ScoreOptions(collar)
    base = score_files(ref, sys, WHOLE, options).total
    assert np.allclose(row(base), row(score_files(*later, uem, options).total), atol=1e-9)


@RUNS
@given(segments(1), segments(), st.data())
def test_splitting_a_turn_does_not_matter_without_collar(ref, sys, data):
    sides = [list(ref), list(sys)]
    side = sides[data.draw(st.integers(0, 1 if sys else 0))]
    seg = side.pop(data.draw(st.integers(0, len(side) - 1)))
    middle = (seg.start + seg.end) / 2
    side += [seg._replace(end=middle), seg._replace(start=middle)]
    base, split = score_files(ref, sys, WHOLE).total, score_files(*sides, WHOLE).total
    assert np.allclose(row(base), row(split), atol=1e-9)


@RUNS
@given(segments(1), st.sampled_from([0.0, 0.25]), st.booleans())
def test_the_reference_itself_has_no_error(ref, collar, skip):
    total = score_files(ref, ref, WHOLE, ScoreOptions(collar, skip)).total
    assert total.error == pytest.approx(0, abs=1e-9)
    errors = jaccard_errors(Evaluation(problem_from_segments(ref, ref, WHOLE)))
    assert all(x.jer == pytest.approx(0, abs=1e-9) for x in errors.values())


@RUNS
@given(segments(1), segments(), st.sampled_from([0.0, 0.25]), st.booleans())
def test_sums_agree_and_add_up(ref, sys, collar, skip):
    options = ScoreOptions(collar, skip)
    scores = score_files(ref, sys, WHOLE, options)
    total = scores.total.check()
    parts = [
        score_files(
            *([s for s in x if s.recording == name] for x in (ref, sys)),
            {name: WHOLE[name]},
            options,
        )
        for name in scores.recordings
    ]
    united = parts[0] if len(parts) == 1 else parts[0] + parts[1]
    assert np.allclose(row(united.total), row(total), atol=1e-9)
    one = sum((times for _, times in scores), ErrorTimes())
    assert np.allclose(row(one), row(total), atol=1e-9)
    evaluation = Evaluation(problem_from_segments(ref, sys, WHOLE))
    levels = by_active_speakers(evaluation, collar, skip).values()
    assert sum(x.miss for x in levels) == pytest.approx(total.miss, abs=1e-9)
    assert sum(x.confusion for x in levels) == pytest.approx(total.confusion, abs=1e-9)
    assert all(0 <= share <= 1 for share in purity_coverage(evaluation))
    for one in by_speaker(evaluation):
        assert -1e-9 <= one.found <= one.speech + 1e-9
        assert -1e-9 <= one.jaccard_error <= 1


@RUNS
@given(st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=1, max_size=6))
def test_the_mapping_is_the_best(rows):
    optimize = pytest.importorskip("scipy.optimize")
    common = np.array(rows, float)
    pairs = match(common) if common.max() > 0 else []
    best = common[optimize.linear_sum_assignment(-common)].sum()
    assert sum(common[r, s] for r, s in pairs) == pytest.approx(best)
    assert len({r for r, _ in pairs}) == len({s for _, s in pairs}) == len(pairs)


def test_hand_made_figures():
    ref = [Segment("r", 0, 4, "A"), Segment("r", 3, 8, "B")]
    sys = [Segment("r", 0, 3, "x"), Segment("r", 3, 9, "y")]
    times = score_files(ref, sys, TEN).total
    assert (times.scored_speech, times.miss, times.false_alarm, times.confusion) == (9, 1, 1, 0)
    assert times.der == pytest.approx(2 / 9)
    assert (times.evaluated_time, times.evaluated_speech_time) == (10, 8)
    skip = score_files(ref, sys, TEN, ScoreOptions(skip_overlap=True)).total
    assert (skip.scored_time, skip.scored_speech, skip.miss, skip.false_alarm) == (9, 7, 0, 1)
    collar = score_files(ref, sys, TEN, ScoreOptions(collar=0.25)).total
    assert (collar.scored_speech, collar.miss, collar.false_alarm) == (7, 0.5, 0.75)


def test_merged_turns_have_no_inner_collars():
    ref = [Segment("r", 0, 5, "A"), Segment("r", 5, 10, "A")]
    apart = score_files(ref, ref, None, ScoreOptions(collar=0.5)).total
    merged = score_files(ref, ref, None, ScoreOptions(collar=0.5, merge_turns=True)).total
    assert (apart.scored_time, merged.scored_time) == (8, 9)


def test_a_recording_without_reference_is_false_alarm_alone():
    sys = [Segment("r", 1, 4, "x")]
    times = score_files([], sys, TEN, ScoreOptions(collar=0.5)).total
    assert (times.scored_speech, times.false_alarm, times.evaluated_time) == (0, 3, 10)
    assert times.der == float("inf")


def test_jer_of_dihard():
    ref = [Segment("r", 0, 6, "A"), Segment("r", 6, 8, "B"), Segment("r", 8, 9, "C")]
    sys = [Segment("r", 0, 7, "x"), Segment("r", 7, 9, "y")]
    # A:x 6/7 in common; B:y and C:y tie at 1 s of 3, 1 s of 2: C is mapped, B has none.
    errors = jaccard_errors(Evaluation(problem_from_segments(ref, sys, {"r": [(0, 10)]})))["r"]
    assert errors.jer == pytest.approx(((1 - 6 / 7) + 1 + 0.5) / 3)


def test_errors_around_switches():
    ref = [Segment("r", 0, 5, "L1"), Segment("r", 5, 9, "L2")]
    sys = [Segment("r", 0, 5.5, "L1"), Segment("r", 5.5, 9, "L2")]
    found = by_switch(Evaluation(problem_from_segments(ref, sys, {"r": [(0, 9)]})))
    assert list(found) == [("L1", "L2")]
    assert (found["L1", "L2"].scored_speech, found["L1", "L2"].confusion) == (2, 0.5)


def test_bootstrap_and_paired_test():
    ref = [Segment(f"r{i:02d}", 0, 10, "A") for i in range(20)]
    good = [s._replace(end=9.5) for s in ref]
    bad = [s._replace(end=8.0 - (i % 3)) for i, s in enumerate(ref)]
    a, b = score_files(ref, good), score_files(ref, bad)
    interval = bootstrap(b, rounds=2000, seed=1)
    assert interval.low < b.total.der < interval.high
    assert interval == bootstrap(b, rounds=2000, seed=1)
    found = compare(a, b, rounds=2000, seed=1)
    assert found.difference == pytest.approx(a.total.der - b.total.der)
    assert found.interval.high < 0
    assert (found.p_value < 0.01, found.better, found.worse) == (True, 20, 0)
    assert compare(a, a, rounds=100).p_value == 1
    few = [score_files(ref[:3], x[:3]) for x in (good, bad)]
    assert compare(*few).p_value == pytest.approx(2 / 8)
    with pytest.raises(DiarizeError, match="r03"):
        compare(a, few[1])


def test_impossible_collars_are_refused():
    for collar in (-0.1, float("nan"), float("inf")):
        with pytest.raises(DiarizeError, match="collar"):
            ScoreOptions(collar)


def test_mask_der_equals_this_scorer_on_a_frame_grid():
    rng = np.random.default_rng(5)
    grid = FrameGrid(sample_rate=100, hop=1)
    batch, frames = 24, 120
    lengths = rng.integers(20, frames + 1, batch)
    sys = rng.random((batch, frames, 4)) < rng.random((batch, 1, 4))
    ref = rng.random((batch, frames, 3)) < rng.random((batch, 1, 3))
    for side in (sys, ref):  # runs of several frames, as in speech
        side[:, 1:] |= side[:, :-1]
    for collar in (0, 3):
        for b, length in enumerate(lengths.tolist()):
            theirs = mask_der_stats(sys[b, :length], ref[b, :length], collar)
            sides = [runs_of(side[b, :length], grid) for side in (ref, sys)]
            uem = {"r": [(0, length / 100)]}
            times = score_files(*sides, uem, ScoreOptions(collar / 100)).total
            seconds = [times.scored_speech, times.miss, times.false_alarm, times.confusion]
            mine = np.round(np.array(seconds) * 100, 6)
            if collar:  # equally good mappings may differ inside collars
                mine, theirs = mine[:3], theirs[:3]
            assert np.allclose(mine, theirs, atol=1e-6), (b, collar)


def runs_of(mask, grid):
    """Return the runs of True of each column of ``mask`` (T, S) as segments, labels "0", "1"...."""
    out = []
    for column, active in enumerate(mask.T):
        edges = np.flatnonzero(np.diff(active, prepend=False, append=False)).tolist()
        out += [
            Segment("r", grid.to_seconds(lo), grid.to_seconds(hi), str(column))
            for lo, hi in zip(edges[::2], edges[1::2], strict=True)
        ]
    return out


def test_mask_der_equals_this_scorer_in_the_regions_of_a_uem():
    """Turns go on beyond the regions, and collars reach into them from outside."""
    rng = np.random.default_rng(6)
    grid = FrameGrid(sample_rate=100, hop=1)
    batch, frames = 24, 120
    sys = rng.random((batch, frames, 4)) < rng.random((batch, 1, 4))
    ref = rng.random((batch, frames, 3)) < rng.random((batch, 1, 3))
    for side in (sys, ref):
        side[:, 1:] |= side[:, :-1]
    known = np.repeat(rng.random((batch, 12)) < 0.5, 10, axis=1)
    known[:, 50:60] = True
    for collar in (0, 3):
        for b in range(batch):
            theirs = mask_der_stats(sys[b], ref[b], collar, known[b])
            sides = [runs_of(side[b], grid) for side in (ref, sys)]
            runs = runs_of(known[b, :, None], grid)
            uem = {"r": [(run.start, run.end) for run in runs]}
            times = score_files(*sides, uem, ScoreOptions(collar / 100)).total
            seconds = [times.scored_speech, times.miss, times.false_alarm, times.confusion]
            mine = np.round(np.array(seconds) * 100, 6)
            if collar:  # equally good mappings may differ inside collars
                mine, theirs = mine[:3], theirs[:3]
            assert np.allclose(mine, theirs, atol=1e-6), (b, collar)

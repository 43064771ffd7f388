"""Files that are longer than their first header says: all samples, or one line; never a part."""

import io
import struct

import numpy as np
import pytest
import soundfile

from diarize.errors import DiarizeError
from diarize.io import audio_streams
from diarize.io.audio import AudioSource, read_audio

RATE = 16000
SECONDS = 3


def encoded(
    form: str, subtype: str | None = None, seconds: float = SECONDS, seed: int = 0
) -> bytes:
    """Bursts of noise as the bytes of a file."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    wave = 0.1 * rng.normal(0, 1, n) * (np.sin(np.arange(n) / 3000) > 0)
    out = io.BytesIO()
    soundfile.write(out, wave, RATE, format=form, subtype=subtype)
    return out.getvalue()


def without_header(mp3: bytes) -> bytes:
    """The frames of an MP3 file without its Xing header and tags, as a stream is recorded."""
    frames = list(audio_streams._mpeg_frames(mp3))
    return b"".join(mp3[offset : offset + size] for offset, size in frames
                    if audio_streams._xing_frames(mp3, offset) is None)


@pytest.fixture
def put(tmp_path):
    """A function: bytes as a file, of which a source is made."""

    def write(name: str, content: bytes) -> AudioSource:
        (tmp_path / name).write_bytes(content)
        return AudioSource(str(tmp_path / name), recording="rec1")

    return write


def refused(source: AudioSource) -> str:
    """Return the message for reading the source; its info is refused, too."""
    with pytest.raises(DiarizeError) as caught:
        source.info()
    with pytest.raises(DiarizeError) as read:
        read_audio(source)
    assert str(read.value) == str(caught.value)
    assert str(read.value).startswith("recording rec1: ")
    return str(read.value)


@pytest.mark.parametrize("other", [SECONDS, 1.0, 5.0])
def test_joined_flac_is_refused(put, other):
    """Only the first of the two files was read."""
    joined = encoded("FLAC") + encoded("FLAC", seconds=other, seed=1)
    assert "second FLAC stream" in refused(put("a.flac", joined))
    assert "second FLAC stream" in audio_streams.excess(joined, "FLAC")


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("frames", [10, 4096, 4097, 300000])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_whole_flac_files_are_in_order(put, channels, frames, subtype):
    out = io.BytesIO()
    rng = np.random.default_rng(frames)
    soundfile.write(out, 0.1 * rng.normal(0, 1, (frames, channels)), RATE, format="FLAC",
                    subtype=subtype)  # fmt: skip
    content = out.getvalue()
    assert audio_streams._flac_in_order(content)
    assert audio_streams.excess(content, "FLAC") == ""
    assert "second FLAC" in audio_streams.excess(content + content, "FLAC")
    assert put("a.flac", content).info().num_samples == frames


def test_a_large_joined_flac_is_seen_without_a_search(put, monkeypatch):
    monkeypatch.setattr(audio_streams, "_SEARCHED", 0)
    for seconds in (SECONDS, 1.0, 9.0):
        joined = encoded("FLAC") + encoded("FLAC", seconds=seconds, seed=1)
        assert not audio_streams._flac_in_order(joined)
        assert "second FLAC stream" in refused(put("a.flac", joined))


@pytest.mark.parametrize("subtype", ["OPUS", "VORBIS"])
def test_joined_ogg_is_refused(put, subtype):
    joined = encoded("OGG", subtype) + encoded("OGG", subtype, seed=1)
    assert "second Ogg stream" in refused(put("a.ogg", joined))
    assert len(read_audio(put("b.ogg", encoded("OGG", subtype)))) == SECONDS * RATE


def test_joined_mp3_is_read_whole(put):
    """The header of the first file was believed for both."""
    one, two = encoded("MP3"), encoded("MP3", seed=1)
    source = put("a.mp3", one + two)
    samples = read_audio(source)
    assert len(samples) == source.info().num_samples
    assert 2 * SECONDS <= len(samples) / RATE < 2 * SECONDS + 0.3
    # The speech of the second file is in the second half.
    assert np.std(samples[-2 * RATE :]) == pytest.approx(np.std(samples[RATE : 3 * RATE]), rel=0.3)
    middle = read_audio(source, 3 * RATE, 4 * RATE)
    np.testing.assert_allclose(middle, samples[3 * RATE : 4 * RATE], atol=1e-3)


def test_mp3_without_a_header_is_read_whole(put):
    """Its length was estimated: a whole file was refused, of another one a part was read."""
    stream = without_header(encoded("MP3"))
    source = put("a.mp3", stream)
    samples = read_audio(source)
    assert len(samples) == source.info().num_samples
    assert SECONDS <= len(samples) / RATE < SECONDS + 0.2
    tagged = b"ID3\4\0\0\0\0\1\0" + bytes(128) + stream + b"TAG" + bytes(125)
    np.testing.assert_allclose(read_audio(put("b.mp3", tagged)), samples, atol=1e-4)


def test_mp3_with_a_true_header_is_left_to_libsndfile(put):
    content = encoded("MP3")
    assert audio_streams.mpeg_audio(content) == (None, "")
    there = soundfile.info(io.BytesIO(content)).frames
    assert put("a.mp3", content).info().num_samples == there


def test_mp3_that_is_cut_short_is_refused(put):
    content = encoded("MP3")
    for part in (content[: len(content) // 2], without_header(content)[: len(content) // 2 + 5]):
        assert "cut short" in refused(put("a.mp3", part))


def short_header(content: bytes, samples: int, riff: int | None = None) -> bytes:
    out = bytearray(content)
    out[40:44] = struct.pack("<I", samples)
    out[4:8] = struct.pack("<I", 36 + samples if riff is None else riff)
    return bytes(out)


def test_a_wav_whose_header_has_half_of_it_is_refused(put):
    content = encoded("WAV", "PCM_16")
    half = (len(content) - 44) // 2
    for damaged in (short_header(content, half), short_header(content, half, len(content) - 8)):
        assert "header promises" in refused(put("a.wav", damaged))


@pytest.mark.parametrize(
    "tail",
    [b"LIST" + struct.pack("<I", 2000) + bytes(2000), bytes(4000), b"TAG" + bytes(125), b"x" * 100,
     b"ID3\4" + bytes(4000), b"LIST" + struct.pack("<I", 9000) + bytes(2000)],
)  # fmt: skip
def test_chunks_tags_and_padding_after_the_samples_are_no_samples(put, tail):
    content = encoded("WAV", "PCM_16")
    for riff in (len(content) - 8, len(content) - 8 + len(tail)):
        source = put("a.wav", short_header(content, len(content) - 44, riff) + tail)
        assert source.info().num_samples == len(read_audio(source)) == SECONDS * RATE


def test_files_of_other_encoders(shared_data):
    """Files made by ffmpeg and lame, where they are at hand."""
    cases = shared_data.parent / "cases/audio_length"
    if not cases.is_dir():
        pytest.skip(f"no {cases}")
    lengths = {"cat-2x12s.mp3": 24, "mp3-cbr-no-xing.mp3": 12, "mp3-vbr-no-xing.mp3": 12}
    for path in sorted(cases.iterdir()):
        if path.name in lengths:
            assert len(read_audio(path)) / RATE == pytest.approx(lengths[path.name], abs=0.2)
        else:
            with pytest.raises(DiarizeError, match=path.name):
                read_audio(path)

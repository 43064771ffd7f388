"""Files that are longer than their first header says: all samples, or one line; never a part."""

import io
import logging
import struct

import numpy as np
import pytest
import soundfile

from diarize.errors import DiarizeError
from diarize.io import audio_streams
from diarize.io.audio import AudioSource, read_audio
from diarize.io.audio_mpeg import MpegStream, _mpeg_frames, _xing_frames, mpeg_stream

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
    frames = list(_mpeg_frames(mp3))
    return b"".join(mp3[offset : offset + size] for offset, size, _ in frames
                    if _xing_frames(mp3, offset) is None)


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


def read_whole(source: AudioSource, caplog, *words: str) -> np.ndarray:
    """Return the samples, of the length in info, after one warning with all ``words``."""
    with caplog.at_level(logging.WARNING, logger="diarize"):
        samples = read_audio(source)
        assert source.info().num_samples == len(samples)
    assert len(caplog.records) == 1
    assert all(word in caplog.text for word in ("recording rec1", *words)), caplog.text
    return samples


@pytest.mark.parametrize("other", [SECONDS, 1.0, 5.0])
@pytest.mark.parametrize("form", ["FLAC", "OPUS", "VORBIS"])
def test_joined_files_are_read_whole(put, caplog, form, other):
    """Only the first of the two files was read."""
    kind = ("FLAC", None) if form == "FLAC" else ("OGG", form)
    parts = [encoded(*kind), encoded(*kind, seconds=other, seed=1)]
    source = put("a.flac", b"".join(parts))
    both = f"{SECONDS + other:.3f} s in all"
    samples = read_whole(source, caplog, "2 streams", f"{SECONDS:.3f} s in the first", both)
    alone = [read_audio(put(f"{i}.flac", part)) for i, part in enumerate(parts)]
    np.testing.assert_array_equal(samples, np.concatenate(alone))
    edge = SECONDS * RATE
    across = read_audio(source, edge - 500, edge + 500)
    np.testing.assert_allclose(across, samples[edge - 500 : edge + 500], atol=1e-4)


def test_joined_streams_of_different_rates_are_refused(put):
    out = io.BytesIO()
    soundfile.write(out, np.zeros(8000), 8000, format="FLAC")
    assert "2 streams" in refused(put("a.flac", encoded("FLAC") + out.getvalue()))


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("frames", [10, 4096, 4097, 300000])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_whole_flac_files_are_in_order(put, channels, frames, subtype):
    out = io.BytesIO()
    rng = np.random.default_rng(frames)
    soundfile.write(out, 0.1 * rng.normal(0, 1, (frames, channels)), RATE, format="FLAC",
                    subtype=subtype)  # fmt: skip
    content = out.getvalue()
    assert audio_streams.flac_in_order(content)
    assert audio_streams.flac_is_one_stream(content)
    assert audio_streams.flac_streams(content) == [0]
    assert audio_streams.flac_streams(content + content) == [0, len(content)]
    assert put("a.flac", content).info().num_samples == frames


@pytest.mark.parametrize("loud", [0.0, 1e-4, 0.1, 0.5])
def test_a_large_joined_flac_is_seen_without_a_search(put, monkeypatch, loud):
    """Also one of equal lengths, whatever the sizes."""
    monkeypatch.setattr(audio_streams, "_SEARCHED", 0)
    monkeypatch.setattr(audio_streams, "_WINDOW", 1 << 10)
    for seconds in (SECONDS, 1.0, 9.0):
        n = round(seconds * RATE)
        out = io.BytesIO()
        soundfile.write(out, loud * np.random.default_rng(1).normal(0, 1, n).clip(-1, 1), RATE,
                        format="FLAC")  # fmt: skip
        for parts in ((encoded("FLAC"), out.getvalue()), (out.getvalue(), encoded("FLAC"))):
            joined = b"".join(parts)
            assert not audio_streams.flac_in_order(joined)
            assert audio_streams.flac_streams(joined) == [0, len(parts[0])]
            length = put("a.flac", joined).info().num_samples
            assert length == SECONDS * RATE + n


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
    assert mpeg_stream(content) == MpegStream()
    there = soundfile.info(io.BytesIO(content)).frames
    assert put("a.mp3", content).info().num_samples == there


@pytest.mark.parametrize("place", [26, 28, 40, 154, 156])
def test_mp3_with_a_damaged_header_is_read_whole(put, place):
    """A wrong size of the stream in its header made 3 s to 1.3 s."""
    content = bytearray(encoded("MP3"))
    content[place] ^= 0x4A
    source = put("a.mp3", bytes(content))
    assert SECONDS <= source.info().duration < SECONDS + 0.3
    assert len(read_audio(source)) == source.info().num_samples


def test_mp3_that_is_cut_short_is_refused(put):
    content = encoded("MP3")
    for part in (content[: len(content) // 2], without_header(content)[: len(content) // 2 + 5]):
        assert "cut short" in refused(put("a.mp3", part))


def short_header(content: bytes, samples: int, riff: int | None = None) -> bytes:
    out = bytearray(content)
    out[40:44] = struct.pack("<I", samples)
    out[4:8] = struct.pack("<I", 36 + samples if riff is None else riff)
    return bytes(out)


@pytest.mark.parametrize("whole_riff", [False, True])
def test_a_wav_whose_header_has_half_of_it_is_read_whole(put, caplog, whole_riff):
    content = encoded("WAV", "PCM_16")
    riff = len(content) - 8 if whole_riff else None
    damaged = short_header(content, (len(content) - 44) // 2, riff)
    samples = read_whole(put("a.wav", damaged), caplog, "1.500 s", "3.000 s")
    np.testing.assert_array_equal(samples, read_audio(put("b.wav", content)))


@pytest.mark.parametrize("stated", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_written_to_a_pipe_is_read_whole_without_a_word(put, caplog, stated):
    content = encoded("WAV", "PCM_16")
    source = put("a.wav", short_header(content, stated, len(content) - 8))
    assert source.info().num_samples == len(read_audio(source)) == SECONDS * RATE
    assert not caplog.records


def test_a_wav_of_right_size_whose_data_size_is_too_large_is_read(put, caplog):
    content = encoded("WAV", "PCM_16")
    damaged = short_header(content, len(content) + 64000, len(content) - 8)
    assert len(read_whole(put("a.wav", damaged), caplog, "3.000 s")) == SECONDS * RATE
    assert "cut short" in refused(put("b.wav", short_header(content, len(content) + 64000)))


def test_a_wav_above_4_gib_whose_size_wrapped_is_read_whole(put, caplog, tmp_path):
    """A sparse file: 37 hours of zeros were read as 12 s."""
    content = encoded("WAV", "PCM_16")
    source = put("a.wav", content)
    size = len(content) - 44
    try:
        with open(tmp_path / "a.wav", "r+b") as handle:
            handle.truncate(len(content) + (1 << 32))
    except OSError:
        pytest.skip("the file system has no sparse files of this size")
    with caplog.at_level(logging.WARNING, logger="diarize"):
        assert source.info().num_samples == size // 2 + (1 << 31)
    assert "3.000 s" in caplog.text
    end = read_audio(source, (1 << 31) - 8, (1 << 31) + 8)
    np.testing.assert_array_equal(end, np.zeros(16, np.float32))


@pytest.mark.parametrize(
    ("form", "subtype"), [("AIFF", "PCM_16"), ("AU", "FLOAT"), ("CAF", "PCM_24"), ("W64", "ULAW")]
)
def test_other_formats_with_samples_after_their_end_are_refused(put, form, subtype):
    content = encoded(form, subtype)
    assert len(read_audio(put("a.x", content))) == SECONDS * RATE
    more = np.random.default_rng(0).bytes(100000)
    assert "3.000 s" in refused(put("b.x", content + more))


def test_sphere_with_more_samples_than_its_header_says_is_read_whole(put, caplog):
    content = encoded("NIST", "PCM_16").replace(b"sample_count -i 48000", b"sample_count -i 24000")
    read_whole(put("a.sph", content), caplog, "1.500 s", "3.000 s")


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
    for path in sorted(cases.iterdir()):
        if "truncated" in path.name:
            with pytest.raises(DiarizeError, match=path.name):
                read_audio(path)
        else:
            expected = 24 if "2x12s" in path.name else 12
            assert len(read_audio(path)) / RATE == pytest.approx(expected, abs=0.2)

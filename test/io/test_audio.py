"""Audio of every source: values, rates, parts of long files, and each fault's message."""

import logging
import os
import shlex
import struct
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from diarize.errors import DiarizeError
from diarize.io import audio_container, resample
from diarize.io.audio import AudioInfo, AudioSource, read_audio, write_wav

RATE = 16000


def noise(num_samples, channels=None, seed=0):
    """Noise on the grid of 16 bits, so that PCM keeps it as it is."""
    shape = num_samples if channels is None else (num_samples, channels)
    steps = np.random.default_rng(seed).integers(-8000, 8000, shape)
    return (steps / 32768).astype(np.float32)


@pytest.fixture
def put(tmp_path):
    """A function that writes samples to a file of some format and returns its path."""

    def write(samples, name="a.wav", rate=RATE, **options):
        path = tmp_path / name
        soundfile.write(path, samples, rate, **options)
        return path

    return write


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {}),
        ("a.wav", {"subtype": "PCM_24"}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.wav", {"format": "WAVEX"}),
        ("a.flac", {}),
        ("a.sph", {"format": "NIST", "subtype": "PCM_16"}),
    ],
)
def test_lossless_formats_give_the_samples(put, name, options):
    samples = noise(5000)
    path = put(samples, name, **options)
    whole = read_audio(path)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole, samples)
    np.testing.assert_array_equal(read_audio(str(path), 1234, 2345), samples[1234:2345])
    assert AudioSource(str(path)).info() == AudioInfo(RATE, 5000, 1)


@pytest.mark.parametrize(
    ("name", "options", "snr"),
    [
        ("a.ogg", {"subtype": "VORBIS"}, 10),
        ("a.ogg", {"subtype": "OPUS"}, 10),
        ("a.sph", {"format": "NIST", "subtype": "ULAW"}, 30),
        ("a.wav", {"subtype": "ULAW"}, 30),
    ],
)
def test_lossy_formats_are_near_and_parts_equal_the_whole(put, name, options, snr):
    samples = (0.3 * np.sin(np.arange(48000) * 0.05)).astype(np.float32)
    path = put(samples, name, **options)
    whole = read_audio(path)
    assert whole.shape == samples.shape
    middle = slice(2000, -2000)
    error = np.sum((whole - samples)[middle] ** 2) / np.sum(samples[middle] ** 2)
    assert -10 * np.log10(error) > snr
    np.testing.assert_allclose(read_audio(path, 20000, 30000), whole[20000:30000], atol=1e-6)


def test_int16_is_divided_by_32768(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([-32768, 32767, 1, 0], np.int16), RATE)
    expected = np.array([-1, 32767 / 32768, 1 / 32768, 0], np.float32)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), expected)


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_channels_are_averaged(put, subtype):
    samples = noise(300, channels=3)
    path = put(samples, subtype=subtype)
    expected = samples.mean(axis=1)
    np.testing.assert_allclose(read_audio(path), expected, atol=1e-7)
    np.testing.assert_allclose(read_audio(path, 100, 200), expected[100:200], atol=1e-7)
    assert AudioSource(str(path)).info().channels == 3


def test_stop_may_lie_beyond_the_end_but_start_may_not(put):
    path = put(noise(1000))
    assert len(read_audio(path, 900, 5000)) == 100
    with pytest.raises(DiarizeError, match=r"a\.wav: the part from 0\.062 s .* ends at 0\.062 s"):
        read_audio(path, 1000)
    for start, stop in ((-1, 5), (5, 5), (5, 4)):
        with pytest.raises(ValueError, match="no samples"):
            read_audio(path, start, stop)


# Other rates


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_resampling_is_that_of_scipy(put, rate):
    samples = noise(rate // 2 + 7)
    path = put(samples, rate=rate)
    divisor = np.gcd(rate, RATE)
    expected = resample_poly(samples, RATE // divisor, rate // divisor)
    whole = read_audio(path)
    assert whole.dtype == np.float32
    assert len(whole) == AudioSource(str(path)).info().samples_at(RATE) == len(expected)
    np.testing.assert_allclose(whole, expected, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 11025])
def test_a_tone_keeps_its_frequency_and_level(put, rate):
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32) * 0.5
    out = read_audio(put(tone, rate=rate, subtype="FLOAT"))
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(out[500:-500], expected[500:-500], atol=2e-3)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([8000, 44100, 48000, 11025, 15999]),
    st.integers(0, 9000),
    st.integers(1, 4000),
    st.integers(0, 99),
)
def test_a_part_at_another_rate_is_the_cut_of_the_whole(tmp_path_factory, rate, start, length, odd):
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    soundfile.write(path, noise(rate * 2 // 3 + odd), rate)
    whole = read_audio(path)
    part = read_audio(path, start, start + length)
    assert len(part) == min(length, len(whole) - start)
    np.testing.assert_allclose(part, whole[start : start + length], atol=1e-6)


def test_resampling_is_reported_once_per_rate(put, caplog):
    resample.notice.cache_clear()
    with caplog.at_level(logging.WARNING, logger="diarize"):
        for _ in range(3):
            read_audio(put(noise(800), rate=8000))
        read_audio(put(noise(800), rate=RATE))
    assert [record.getMessage() for record in caplog.records] == [
        "resampling audio of 8000 Hz to 16000 Hz (shown once)"
    ]


@pytest.mark.parametrize(("name", "rate"), [("a.wav", RATE), ("a.flac", RATE), ("a.wav", 48000)])
def test_a_part_of_a_long_file_is_read_alone(put, name, rate, monkeypatch):
    path = put(noise(rate * 120), name, rate)
    read = []
    original = soundfile.SoundFile.read

    def counted(self, frames=-1, *args, **options):
        out = original(self, frames, *args, **options)
        read.append(len(out))
        return out

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    assert len(read_audio(path, 100 * RATE, 101 * RATE)) == RATE
    assert rate <= sum(read) <= rate * 1.01 + 200


# Arks and pipes


def wav_bytes(samples, tmp_path, **options):
    path = tmp_path / "member.wav"
    soundfile.write(path, samples, RATE, **options)
    return path.read_bytes()


def test_ark_members_by_offset(tmp_path):
    first, second = noise(700), noise(900, channels=2, seed=1)
    data, entries = b"", {}
    for key, samples in {"one": first, "two": second}.items():
        data += f"{key} ".encode()
        entries[key] = f"{tmp_path}/a.ark:{len(data)}"
        data += wav_bytes(samples, tmp_path)
    (tmp_path / "a.ark").write_bytes(data)
    np.testing.assert_array_equal(read_audio(entries["one"]), first)
    np.testing.assert_array_equal(read_audio(entries["one"], 100, 200), first[100:200])
    np.testing.assert_allclose(read_audio(entries["two"]), second.mean(axis=1), atol=1e-7)
    assert AudioSource(entries["two"]).info() == AudioInfo(RATE, 900, 2)
    with pytest.raises(DiarizeError, match=r"a\.ark:1: no WAV begins at this offset"):
        read_audio(f"{tmp_path}/a.ark:1")
    (tmp_path / "a.ark").write_bytes(data[:-100])
    with pytest.raises(DiarizeError, match="cut short"):
        read_audio(entries["two"])


@pytest.mark.parametrize("write_function", [None, "soundfile"])
def test_arks_that_kaldiio_wrote(tmp_path, write_function):
    kaldiio = pytest.importorskip("kaldiio")
    samples = (noise(500) * 32768).astype(np.int16)
    entry = {"key": (RATE, samples)}
    ark, scp = f"{tmp_path}/b.ark", f"{tmp_path}/b.scp"
    kaldiio.save_ark(ark, entry, scp, write_function=write_function)
    _key, path = (tmp_path / "b.scp").read_text().split()
    np.testing.assert_array_equal(read_audio(path), samples / np.float32(32768))


def piped(command, **options):
    return AudioSource(f"{command} |", allow_pipes=True, recording="rec1", **options)


def test_pipes_run_only_where_allowed(put):
    path = put(noise(500))
    np.testing.assert_array_equal(read_audio(piped(f"cat {shlex.quote(str(path))}")), noise(500))
    with pytest.raises(DiarizeError, match="not run unless allowed"):
        read_audio(f"cat {path} |")
    np.testing.assert_array_equal(read_audio(f"cat {path}|", allow_pipes=True), noise(500))


@pytest.mark.parametrize(
    ("riff", "data"),
    [(0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFF024, 0x7FFFF000), (0, 0), (36, 0), (0xFFFFFFFF, 0xFFFFFFDB)],
)
def test_wav_streams_of_unknown_length(tmp_path, riff, data):
    content = bytearray(wav_bytes(noise(800), tmp_path))
    content[4:8], content[40:44] = struct.pack("<I", riff), struct.pack("<I", data)
    (tmp_path / "stream.wav").write_bytes(content)
    source = piped(f"cat {tmp_path}/stream.wav")
    np.testing.assert_array_equal(read_audio(source), noise(800))
    np.testing.assert_array_equal(read_audio(source, 100, 300), noise(800)[100:300])
    assert source.info() == AudioInfo(RATE, 800, 1)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("echo first >&2; echo no such tool >&2; exit 3", "status 3: first / no such tool"),
        ("true", "wrote nothing"),
        ("cat", "wrote nothing"),  # would wait for the terminal, were there one
        ("echo hello", "cannot be read as audio"),
        ("/nonexistent/sph2pipe x", "status 127: .*not found"),
    ],
)
def test_failing_pipes(command, reason):
    with pytest.raises(DiarizeError, match=f"recording rec1: (?s:.*){reason}"):
        read_audio(piped(command))


def test_a_command_that_fails_after_its_output_is_an_error(put):
    path = put(noise(500))
    with pytest.raises(DiarizeError, match="ended with status 1"):
        read_audio(piped(f"cat {path}; false"))


def test_parts_of_a_pipe_run_its_command_once(put, tmp_path):
    path = put(noise(500))
    source = piped(f"echo run >> {tmp_path}/count; cat {path}")
    assert source.info().num_samples == 500
    parts = [read_audio(source, start, start + 100) for start in range(0, 500, 100)]
    np.testing.assert_array_equal(np.concatenate(parts), noise(500))
    assert (tmp_path / "count").read_text() == "run\n"


# Paths


def test_relative_paths_from_here_then_from_the_base(tmp_path, monkeypatch):
    for place, seed in (("here", 1), ("data", 2)):
        (tmp_path / place / "wav").mkdir(parents=True)
        soundfile.write(tmp_path / place / "wav" / "a.wav", noise(10, seed=seed), RATE)
    source = AudioSource("wav/a.wav", base=tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(read_audio(source), noise(10, seed=2))
    monkeypatch.chdir(tmp_path / "here")
    np.testing.assert_array_equal(read_audio(source), noise(10, seed=1))


# Faults


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.wav", {"format": "RF64"}),
        ("a.sph", {"format": "NIST", "subtype": "PCM_16"}),
        ("a.ogg", {"subtype": "VORBIS"}),
        ("a.ogg", {"subtype": "OPUS"}),
        ("a.flac", {}),
        ("a.caf", {}),
        ("a.aiff", {}),
        ("a.au", {}),
        ("a.w64", {"format": "W64"}),
    ],
)
def test_truncated_files(put, name, options):
    path = put(noise(5 * RATE), name, **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DiarizeError, match=rf"{name}: .*cut short.*again"):
        read_audio(path)
    with pytest.raises(DiarizeError, match="cut short"):
        read_audio(piped(f"cat {path}"))


def test_a_wav_whose_header_was_never_finished(put, caplog):
    path = put(noise(5000))
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = bytes(4)
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, logger="diarize"):
        np.testing.assert_array_equal(read_audio(path), noise(5000))
        assert AudioSource(str(path)).info().num_samples == 5000
    assert len(caplog.records) == 1
    assert all(word in caplog.text for word in ("a.wav", "0.000 s", "0.312 s"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_nan_and_infinite_samples(put, bad, channels):
    samples = noise(2000, channels)
    samples[800, -1] = bad
    path = put(samples, subtype="FLOAT")
    for start, stop in ((0, None), (700, 900)):
        with pytest.raises(DiarizeError, match=r"a\.wav: sample 800 \(0\.050 s\) is NaN or infin"):
            read_audio(path, start, stop)
    assert len(read_audio(path, 0, 800)) == 800


def test_no_samples(put):
    path = put(noise(0))
    with pytest.raises(DiarizeError, match="contains no samples"):
        read_audio(path)
    with pytest.raises(DiarizeError, match="contains no samples"):
        AudioSource(str(path)).info()


def test_files_that_are_no_audio(tmp_path):
    text, empty, directory = tmp_path / "t.wav", tmp_path / "e.wav", tmp_path / "d.wav"
    text.write_text("this is a transcript\n")
    empty.touch()
    directory.mkdir()
    os.mkfifo(tmp_path / "f.wav")
    for name, reason in {
        "t.wav": "cannot be read as audio .*convert it",
        "e.wav": "an empty file",
        "d.wav": "a directory, not an audio file",
        "f.wav": "a device or FIFO, not an audio file",
        "n.wav": "cannot open it: No such file",
    }.items():
        source = AudioSource(str(tmp_path / name), recording="rec7")
        with pytest.raises(DiarizeError, match=rf"^recording rec7: \S*{name}: {reason}"):
            read_audio(source)
        with pytest.raises(DiarizeError, match=reason):
            source.info()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(put):
    path = put(noise(10))
    path.chmod(0)
    with pytest.raises(DiarizeError, match="Permission denied"):
        read_audio(path)


def test_unreadable_file_by_any_user(put, monkeypatch):
    path = put(noise(10))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DiarizeError, match=r"a\.wav: cannot open it: Permission denied"):
        read_audio(path)


@pytest.mark.parametrize("coding", ["ulaw,embedded-shorten-v2.00", "pcm,embedded-shorten-v2.00"])
def test_shorten_names_sph2pipe(tmp_path, coding):
    header = (
        "NIST_1A\n   1024\nchannel_count -i 2\nsample_rate -i 8000\nsample_n_bytes -i 1\n"
        f"sample_coding -s{len(coding)} {coding}\nsample_count -i 16000\nend_head\n"
    )
    (tmp_path / "a.sph").write_bytes(header.ljust(1024).encode() + b"ajkg" + bytes(900))
    with pytest.raises(DiarizeError, match=r"shorten.*'sph2pipe -f wav FILE \|'"):
        read_audio(tmp_path / "a.sph")


def without_length(flac: bytes) -> bytes:
    """A FLAC as an encoder writes it to a pipe."""
    content = bytearray(flac)
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    return bytes(content)


@pytest.mark.parametrize("samples", [100, 4096, 50000])
def test_a_flac_stream_without_its_length(put, samples):
    path = put(noise(samples), "a.flac")
    path.write_bytes(without_length(path.read_bytes()))
    for source in (AudioSource(str(path)), piped(f"cat {path}")):
        assert source.info() == AudioInfo(RATE, samples, 1)
        np.testing.assert_array_equal(read_audio(source), noise(samples))
        np.testing.assert_array_equal(read_audio(source, 50, 90), noise(samples)[50:90])


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors by /proc")
def test_no_descriptor_stays_open(put, tmp_path):
    good = put(noise(500))
    (tmp_path / "bad.wav").write_text("text")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        read_audio(good)
        for bad in ("bad.wav", ""):
            with pytest.raises(DiarizeError):
                read_audio(tmp_path / bad)
    assert len(os.listdir("/proc/self/fd")) == before


# Writing


def test_write_wav(tmp_path):
    path = tmp_path / "a.wav"
    samples = np.array([0, 0.5, -1, 1, 1.5, -2, 1 / 32768], np.float32)
    assert write_wav(path, samples, 8000) == 2
    data, rate = soundfile.read(path, dtype="int16")
    assert rate == 8000
    assert data.tolist() == [0, 16384, -32768, 32767, 32767, -32768, 1]
    assert soundfile.info(path).subtype == "PCM_16"
    assert os.listdir(tmp_path) == ["a.wav"]


def test_write_wav_and_read_audio_are_inverse(tmp_path):
    assert write_wav(tmp_path / "a.wav", noise(3000), RATE) == 0
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), noise(3000))


def test_write_wav_refuses(tmp_path):
    with pytest.raises(DiarizeError, match=r"a\.wav: sample 1 is nan"):
        write_wav(tmp_path / "a.wav", np.array([0, np.nan]), RATE)
    with pytest.raises(DiarizeError, match="cannot write"):
        write_wav(tmp_path / "none" / "a.wav", noise(5), RATE)
    with pytest.raises(ValueError, match="one channel"):
        write_wav(tmp_path / "a.wav", noise(5, channels=2), RATE)
    assert os.listdir(tmp_path) == []


def test_neither_torch_nor_scipy_is_imported_for_the_usual_case(put, tmp_path):
    path = put(noise(50))
    code = (
        "import sys; from diarize.io.audio import read_audio; "
        f"read_audio({str(path)!r}); print([m for m in ('torch', 'scipy') if m in sys.modules])"
    )
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    with os.popen(command) as pipe:
        assert pipe.read() == "[]\n"


# Real recordings


def test_speechocean_opus(shared_data):
    root = shared_data / "speechocean762_train"
    path = root / "audio" / "so0001-000010011.ogg"
    whole = read_audio(path)
    assert AudioSource(str(path)).info() == AudioInfo(16000, 41280, 1)
    assert whole.shape == (41280,)  # 2.580 s in its reco2dur
    assert 0.005 < np.sqrt(np.mean(whole**2)) < 0.5
    np.testing.assert_allclose(read_audio(path, 9000, 19000), whole[9000:19000], atol=1e-6)


def test_fsdd_at_8_khz(shared_data):
    path = shared_data / "fsdd_train" / "audio" / "jackson" / "jackson-0-00.flac"
    info = AudioSource(str(path)).info()
    assert (info.sample_rate, info.num_samples) == (8000, 5148)  # 0.6435 s
    whole = read_audio(path)
    assert whole.shape == (2 * 5148,)
    np.testing.assert_array_equal(read_audio(path, 1001, 7000), whole[1001:7000])
    # Nothing above the old Nyquist frequency.
    power = np.abs(np.fft.rfft(whole)) ** 2
    assert power[int(len(power) * 0.55) :].sum() < 1e-3 * power.sum()


def test_librispeech_flac(shared_data):
    folder = shared_data / "libri_small" / "LibriSpeech" / "train-clean-100" / "103" / "1240"
    path = folder / "103-1240-0000.flac"
    expected, rate = soundfile.read(path, dtype="float32")
    assert rate == 16000
    assert len(expected) == 225360  # 14.085 s
    np.testing.assert_array_equal(read_audio(path), expected)
    np.testing.assert_array_equal(read_audio(path, 100000, 132000), expected[100000:132000])


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.flac", {}),
        ("b.flac", {"subtype": "PCM_24"}),
        ("c.wav", {}),
        ("d.wav", {"subtype": "FLOAT"}),
        ("e.wav", {"subtype": "PCM_U8"}),
        ("f.wav", {"format": "WAVEX"}),
        ("g.ogg", {}),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_header_that_is_read_directly_says_what_libsndfile_says(tmp_path, name, form, channels):
    path = tmp_path / name
    soundfile.write(path, np.zeros((2345, channels)), 44100, **form)
    there = soundfile.info(str(path))
    expected = AudioInfo(there.samplerate, there.frames, there.channels)
    assert AudioSource(str(path)).info() == expected == AudioInfo(44100, 2345, channels)
    with open(path, "rb") as handle:
        plain = audio_container.plain_header(handle.fileno())
    direct = name.endswith(".flac") or name == "c.wav"
    assert plain == ((44100, 2345, channels) if direct else None)


def test_headers_that_are_unusual_are_left_to_libsndfile(tmp_path):
    whole, cut = tmp_path / "whole.wav", tmp_path / "cut.wav"
    soundfile.write(whole, np.zeros(1000), 16000)
    data = whole.read_bytes()
    cut.write_bytes(data[:-10])
    streamed = tmp_path / "streamed.flac"
    soundfile.write(streamed, np.zeros(1000), 16000)
    streamed.write_bytes(without_length(streamed.read_bytes()))
    short = tmp_path / "short.wav"
    short.write_bytes(data[:40])
    for path in (cut, streamed, short):
        with open(path, "rb") as handle:
            assert audio_container.plain_header(handle.fileno()) is None
    for path in (cut, short):
        with pytest.raises(DiarizeError):
            AudioSource(str(path)).info()
    assert AudioSource(str(streamed)).info().num_samples == 1000

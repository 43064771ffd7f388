"""Formats in: what ffmpeg decodes, standard input, channels, and samples that are no audio."""

import io
import logging
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from diarize.errors import DiarizeError
from diarize.io import audio_container
from diarize.io.audio import AudioInfo, AudioSource, read_audio, read_blocks
from diarize.io.audio_ffmpeg import AUDIO_SUFFIXES, FFMPEG_SUFFIXES, LIBSNDFILE_SUFFIXES

RATE, SECONDS = 16000, 4
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the PATH")
needs_sox = pytest.mark.skipif(shutil.which("sox") is None, reason="no sox on the PATH")


def tones(channels: int = 1) -> np.ndarray:
    """Bursts of a tone, another one in each channel, (n,) or (n, channels)."""
    time = np.arange(SECONDS * RATE) / RATE
    waves = [0.3 * np.sin(2 * np.pi * (300 + 170 * i) * time) * (np.sin(3 * time + i) > 0)
             for i in range(channels)]  # fmt: skip
    return np.stack(waves, axis=1)[:, 0 if channels == 1 else slice(None)].astype(np.float32)


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "in.wav"
    soundfile.write(path, tones(), RATE)
    return path


def convert(wav, name, *options):
    """Return the file that ffmpeg makes of the WAV; skips where it has no such encoder."""
    out = wav.parent / name
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", wav, *options, out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"ffmpeg: {done.stderr.strip()[:100]}")
    return out


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.m4a", ()), ("a.mp4", ()), ("a.mov", ()), ("a.aac", ()), ("a.mka", ()), ("a.wma", ()),
        ("a.webm", ("-c:a", "libopus")), ("a.webm", ("-c:a", "libvorbis")), ("a.ac3", ()),
        ("a.ts", ()), ("a.flv", ("-ar", "22050")), ("a.wv", ()), ("a.avi", ()), ("a.mpg", ()),
        ("a.ogg", ("-c:a", "libspeex")), ("a.oga", ("-c:a", "flac")), ("a.mp2", ()),
        ("a.m4a", ("-c:a", "alac")), ("a.caf", ("-c:a", "alac")),
    ],
)  # fmt: skip
def test_formats_of_ffmpeg_are_decoded(wav, name, options):
    path = convert(wav, name, *options)
    assert path.suffix in AUDIO_SUFFIXES
    source = AudioSource(str(path), recording="rec1")
    source.check()
    info, samples = source.info(), read_audio(source)
    assert len(samples) == info.samples_at(RATE)
    assert SECONDS - 0.05 < info.duration < SECONDS + 0.2
    # The bursts are where they were: encoders add up to a tenth of a second before them.
    padded = np.pad(samples, (0, RATE))[: SECONDS * RATE]
    loud = [np.abs(x.reshape(-1, RATE // 8)).mean(1) for x in (tones(), padded)]
    assert np.corrcoef(loud[0], loud[1])[0, 1] > 0.9
    np.testing.assert_allclose(read_audio(source, RATE, 2 * RATE), samples[RATE : 2 * RATE],
                               atol=2e-3)  # fmt: skip
    np.testing.assert_allclose(np.concatenate(list(read_blocks(source, RATE, 1))), samples,
                               atol=2e-3)  # fmt: skip


@needs_ffmpeg
def test_a_file_is_decoded_once(wav, monkeypatch):
    path = convert(wav, "a.m4a")
    runs, original = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: runs.append(a) or original(*a, **k))
    for start in range(3):
        read_audio(path, start * RATE, (start + 1) * RATE)
    assert len(runs) == 1


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.m4a", "a.webm", "a.mka", "a.wma"])
def test_what_ffmpeg_finds_damaged_is_refused(wav, name):
    path = convert(wav, name, *(("-movflags", "+faststart") if name == "a.m4a" else ()))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(DiarizeError, match=rf"{name}: .*ffmpeg .*again") as caught:
        read_audio(path)
    assert "\n" not in str(caught.value)


@needs_ffmpeg
def test_without_ffmpeg_its_name_is_said_before_anything_is_decoded(wav, monkeypatch):
    path = convert(wav, "a.m4a")
    monkeypatch.setenv("PATH", "")
    for act in (AudioSource.check, AudioSource.info, read_audio):
        with pytest.raises(DiarizeError, match=r"a\.m4a: .*requires ffmpeg: install"):
            act(AudioSource(str(path)))


def test_ffmpeg_never_opens_what_a_playlist_names(tmp_path):
    soundfile.write(tmp_path / "in.wav", tones(), RATE)
    (tmp_path / "a.m4a").write_text(f"ffconcat version 1.0\nfile '{tmp_path}/in.wav'\n")
    (tmp_path / "b.m4a").write_text(f"#EXTM3U\n#EXTINF:4,\nfile:{tmp_path}/in.wav\n")
    for name in ("a.m4a", "b.m4a"):
        with pytest.raises(DiarizeError, match="cannot be read as audio"):
            read_audio(tmp_path / name)


@needs_sox
@pytest.mark.parametrize("suffix", ["aiff", "au", "caf", "w64", "voc", "sph", "flac", "snd"])
def test_files_of_sox_are_read(wav, suffix):
    path = wav.parent / f"a.{suffix}"
    assert path.suffix in LIBSNDFILE_SUFFIXES
    subprocess.run(["sox", wav, path], check=True)
    np.testing.assert_array_equal(read_audio(path), read_audio(wav))


@needs_sox
@pytest.mark.parametrize("kind", ["wav", "flac", "au", "sph", "ogg"])
def test_streams_of_sox_are_read(wav, kind):
    source = AudioSource(f"sox {wav} -t {kind} - |", allow_pipes=True)
    assert source.info() == AudioInfo(RATE, SECONDS * RATE, 1)
    assert len(read_audio(source)) == SECONDS * RATE


@needs_ffmpeg
@pytest.mark.parametrize(
    "options", ["-f wav", "-f flac", "-f wav -c:a pcm_f32le", "-f au", "-f aiff", "-f ogg",
                "-f caf", "-f mp3", "-f adts", "-f matroska"]
)  # fmt: skip
def test_streams_of_ffmpeg_are_read(wav, options):
    source = AudioSource(f"ffmpeg -v quiet -i {wav} {options} - |", allow_pipes=True)
    assert source.info().duration == pytest.approx(SECONDS, abs=0.2)
    assert len(read_audio(source)) == source.info().samples_at(RATE)


def test_suffixes_are_lower_case_and_once():
    assert len(set(AUDIO_SUFFIXES)) == len(AUDIO_SUFFIXES)
    assert not set(LIBSNDFILE_SUFFIXES) & set(FFMPEG_SUFFIXES)
    assert all(suffix.startswith(".") and suffix.islower() for suffix in AUDIO_SUFFIXES)


# Standard input


@pytest.fixture
def standard_input(tmp_path, monkeypatch):
    """A function that puts bytes on standard input."""

    def put(content: bytes) -> None:
        (tmp_path / "stdin").write_bytes(content)
        monkeypatch.setattr("sys.stdin", open(tmp_path / "stdin"))  # noqa: SIM115
        audio_container.standard_input.cache_clear()

    yield put
    audio_container.standard_input.cache_clear()


def test_standard_input_is_a_recording(wav, standard_input):
    standard_input(wav.read_bytes())
    source = AudioSource("-", recording="rec1")
    source.check()
    assert source.info() == AudioInfo(RATE, SECONDS * RATE, 1)
    whole = read_audio(source)
    np.testing.assert_array_equal(whole, read_audio(wav))
    np.testing.assert_array_equal(read_audio(source, 100, 200), whole[100:200])


@needs_ffmpeg
def test_standard_input_may_require_ffmpeg(wav, standard_input):
    standard_input(convert(wav, "a.m4a").read_bytes())
    assert AudioSource("-").info().duration == pytest.approx(SECONDS, abs=0.1)


def test_empty_standard_input_is_refused(standard_input):
    standard_input(b"")
    with pytest.raises(DiarizeError, match="-: an empty file"):
        AudioSource("-").check()


# Channels


def put_channels(tmp_path, samples, **options):
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, RATE, **options)
    return path


def warned(caplog, path, **options) -> tuple[np.ndarray, str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="diarize"):
        source = AudioSource(str(path), recording="rec1", **options)
        samples = read_audio(source)
        np.testing.assert_array_equal(read_audio(source, 900, 2000), samples[900:2000])
    return samples, caplog.text


def test_channels_in_opposite_phase_give_the_louder_one(tmp_path, caplog):
    """Their mean is silence: no speech was found."""
    one = tones()
    path = put_channels(tmp_path, np.stack([-0.5 * one, 0.52 * one], 1), subtype="FLOAT")
    samples, text = warned(caplog, path)
    np.testing.assert_allclose(samples, 0.52 * one, atol=1e-6)
    assert text.count("rec1") == 1
    assert "channel 2" in text


def test_two_channels_of_different_contents_are_mixed_with_a_notice(tmp_path, caplog):
    both = tones(2)
    samples, text = warned(caplog, put_channels(tmp_path, both, subtype="FLOAT"))
    np.testing.assert_allclose(samples, both.mean(1), atol=1e-6)
    assert text.count("rec1") == 1
    assert "--channel" in text


def test_like_channels_are_mixed_without_a_word(tmp_path, caplog):
    one = tones()
    noise = 0.01 * np.random.default_rng(0).normal(0, 1, (len(one), 2)).astype(np.float32)
    for i, both in enumerate((np.stack([one, 0.7 * one], 1) + noise, np.stack([one, 0 * one], 1))):
        (tmp_path / str(i)).mkdir()
        path = put_channels(tmp_path / str(i), both, subtype="FLOAT")
        samples, text = warned(caplog, path)
        np.testing.assert_allclose(samples, both.mean(1), atol=1e-6)
        assert text == ""


def test_one_channel_is_read(tmp_path, caplog):
    three = tones(3)
    path = put_channels(tmp_path, three, subtype="FLOAT")
    for number in (1, 2, 3):
        samples, text = warned(caplog, path, channel=number)
        np.testing.assert_array_equal(samples, three[:, number - 1])
        assert text == ""
    for number in (0, 4):
        with pytest.raises(DiarizeError, match=rf"rec1: \S*a\.wav: no channel {number}: .*3"):
            read_audio(AudioSource(str(path), recording="rec1", channel=number))
    each = AudioSource(str(path)).each_channel()
    assert [source.channel for source in each] == [1, 2, 3]


# Samples


@pytest.mark.parametrize("value", [1e25, -3e9, float("nan"), float("-inf")])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_samples_that_are_no_audio_are_named(tmp_path, value, subtype):
    """The message blamed the model."""
    samples = tones().astype(np.float64)
    samples[8000] = value
    path = put_channels(tmp_path, samples, subtype=subtype)
    with pytest.raises(DiarizeError, match=r"rec1: \S*a\.wav: sample 8000 \(0\.500 s\)"):
        read_audio(AudioSource(str(path), recording="rec1"))
    assert len(read_audio(path, 0, 8000)) == 8000


def test_samples_scaled_as_integers_are_read(tmp_path):
    path = put_channels(tmp_path, tones() * 32768, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(path), tones() * 32768, rtol=1e-6)


@needs_ffmpeg
def test_mp3_in_a_wav_is_read_whole(wav, tmp_path):
    """It was refused as cut short."""
    mp3 = convert(wav, "a.mp3", "-b:a", "32k")
    path = convert(wav, "mp3.wav", "-c:a", "libmp3lame", "-b:a", "32k")
    source = AudioSource(str(path))
    assert source.info().duration == pytest.approx(SECONDS, abs=0.15)
    assert len(read_audio(source)) == source.info().num_samples
    raw = io.BytesIO(mp3.read_bytes())
    assert soundfile.info(raw).format == "MP3"

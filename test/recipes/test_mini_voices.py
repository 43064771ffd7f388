"""The synthetic speakers of the mini recipe: who is made, from what, and that it is repeatable."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from diarize.io.table import read_table

SETS = ("train", "dev", "test")
SMALL = ("--num-voices", "3 1 2", "--num-utts", "4 2 2")


@pytest.fixture(autouse=True)
def voices_on_path(monkeypatch, repo_root):
    monkeypatch.syspath_prepend(str(repo_root / "egs" / "mini"))


@pytest.fixture
def espeak():
    pytest.importorskip("espeakng_loader", reason="espeakng-loader not installed: .[mini]")
    from voices import espeak

    return espeak


def environment(**more: str) -> dict[str, str]:
    """The environment in which python3 is the Python of the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, **more}


def data_sh(repo_root: Path, cwd: Path, *options: str, **env: str):
    script = repo_root / "egs/mini/diar1/local/data.sh"
    return subprocess.run(
        [script, *options], cwd=cwd, env=environment(**env), capture_output=True, text=True,
        check=False)


def digests(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.md5(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory, repo_root) -> Path:
    """The data of a small run with one process."""
    pytest.importorskip("espeakng_loader", reason="espeakng-loader not installed: .[mini]")
    cwd = tmp_path_factory.mktemp("one")
    done = data_sh(repo_root, cwd, *SMALL, "--nj", "1")
    assert done.returncode == 0, done.stderr
    return cwd / "data"


def test_sets_share_no_speaker_and_no_sentence(made):
    speakers = [set(read_table(made / f"{name}_voices/spk2utt")) for name in SETS]
    assert [len(each) for each in speakers] == [3, 1, 2]
    assert len(set.union(*speakers)) == 6
    texts = [set(read_table(made / f"{name}_voices/text").values()) for name in SETS]
    assert [len(each) for each in texts] == [12, 2, 4]
    assert len(set.union(*texts)) == 18


def test_data_directories_are_valid_and_say_what_the_audio_is(made, repo_root):
    import soundfile

    for name in SETS:
        directory = made / f"{name}_voices"
        check = subprocess.run(
            [repo_root / "utils/validate_data_dir.sh", "--no-feats", directory],
            cwd=made.parent, capture_output=True, text=True, check=False,
            env=environment(PYTHONPATH=str(repo_root)))
        assert check.returncode == 0, check.stdout + check.stderr
        durations = read_table(directory / "reco2dur", fields=2, check_sorted=True)
        for key, path in read_table(directory / "wav.scp", fields=2, check_sorted=True).items():
            assert path.startswith("data/wav/")
            info = soundfile.info(str(made.parent / path))
            assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
            assert info.frames / 16000 == float(durations[key])
            assert 1.0 < info.frames / 16000 < 8.0


def test_speech_from_the_first_to_the_last_frame(made):
    import soundfile

    for path in (made / "wav/train").rglob("*.wav"):
        wave, _ = soundfile.read(path)
        frames = (wave.reshape(-1, 160) ** 2).mean(1)
        # The fade takes some of the 40 dB that the trimming allows.
        assert min(frames[0], frames[-1]) > 1e-6 * frames.max()
        assert -36 < 10 * np.log10(np.mean(wave**2)) < -18


def test_number_of_jobs_changes_nothing(made, repo_root, tmp_path):
    done = data_sh(repo_root, tmp_path, *SMALL, "--nj", "3")
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "data") == digests(made)


def test_goes_on_after_a_kill(made, repo_root, tmp_path):
    command = [repo_root / "egs/mini/diar1/local/data.sh", *SMALL, "--nj", "2"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), start_new_session=True,
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None and not list(tmp_path.rglob("v*.wav")):
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("v*.wav")}
    assert kept
    done = data_sh(repo_root, tmp_path, *SMALL)
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "data") == digests(made)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_other_options_over_old_audio_are_refused(made, repo_root, tmp_path):
    shutil.copytree(made, tmp_path / "data")
    done = data_sh(repo_root, tmp_path, *SMALL, "--seed", "2")
    assert done.returncode == 1
    assert "data/wav contains voices made with other options: remove" in done.stderr
    assert digests(tmp_path / "data") == digests(made)


def test_without_the_wheel_one_line_says_how_to_install_it(repo_root, tmp_path):
    (tmp_path / "espeakng_loader.py").write_text("raise ImportError('not here')\n")
    done = data_sh(repo_root, tmp_path, *SMALL, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "pip install .[mini]" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--num-voices", "3 1"), "--voices"),
        (("--num-utts", "0 0 0"), "--utterances"),
        (("--short", "yes"), "true or false"),
        (("extra",), "unexpected argument"),
    ],
)
def test_bad_options(repo_root, tmp_path, options, message):
    done = data_sh(repo_root, tmp_path, *options)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_breath_noise_does_not_depend_on_the_time_of_day(repo_root, espeak):
    """The library seeds its noise at start-up with the time: two starts gave two waveforms."""
    program = (
        "import hashlib\n"
        "from voices.espeak import *\n"
        "voice = 'language variant\\nname a\\nbreath 9 9 9 9 9 9\\n'\n"
        "with private_data(['en-us'], {'a': voice}) as home:\n"
        "    speech = Espeak(home).speak('nine tiny apples', 'en-us+a')\n"
        "    print(len(speech.samples), hashlib.md5(speech.samples.tobytes()).hexdigest())\n"
    )
    path = os.pathsep.join([str(repo_root), str(repo_root / "egs/mini")])
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment(PYTHONPATH=path),
            capture_output=True, text=True, check=True)
        said.append(done.stdout)
        time.sleep(1.1)
    assert said[0] == said[1]
    assert int(said[0].split()[0]) > 10000


def speak_some(espeak) -> list:
    """What a forked child says: twice the same alone, once after another sentence, and foreign."""
    variants = {"a": "language variant\nname a\npitch 90 120\n"}
    with espeak.private_data(["en-us", "hi"], variants) as home:
        library = espeak.Espeak(home)

        def say(text: str):
            return espeak.isolated(lambda: library.speak(text, "en-us+a"))

        return [say("The old boat"), say("Something else"), say("The old boat"), say("old नमस्ते")]


def test_an_utterance_does_not_depend_on_those_before(espeak):
    first, other, again, foreign = espeak.isolated(lambda: speak_some(espeak))
    assert first.sample_rate == 22050
    np.testing.assert_array_equal(first.samples, again.samples)
    assert len(other.samples) != len(first.samples)
    assert [word for _, word in first.words] == ["The", "old", "boat"]
    assert [time for time, _ in first.words] == sorted(time for time, _ in first.words)
    assert not first.switched_language
    assert foreign.switched_language


def test_failures_in_a_child_become_one_error(espeak):
    from diarize.errors import DiarizeError

    def unknown():
        with espeak.private_data(["en-us"], {}) as home:
            espeak.Espeak(home).speak("nine", "tlh+nobody")

    with pytest.raises(DiarizeError, match=re.escape("no voice tlh+nobody")):
        espeak.isolated(unknown)
    with pytest.raises(DiarizeError, match="synthesis process died"):
        espeak.isolated(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_voices_and_languages_are_checked_before_the_start(espeak):
    from diarize.errors import DiarizeError

    with pytest.raises(DiarizeError, match="no language xx"), espeak.private_data(["xx"], {}):
        pass
    many = {f"v{number}": "" for number in range(349)}
    with pytest.raises(DiarizeError, match="349"), espeak.private_data(["en"], many):
        pass


def test_sentences_have_the_length_asked_for_and_no_pauses():
    from voices.text import english_sentence, share_of

    rng = np.random.default_rng(0)
    sentences = [english_sentence(rng, 70) for _ in range(500)]
    assert 64 < np.mean([len(sentence) for sentence in sentences]) < 76
    assert len(set(sentences)) > 490
    assert all(re.fullmatch(r"[A-Z][A-Za-z ]+", sentence) for sentence in sentences)
    assert not any(re.search(r"\ba [aeiou]|  ", sentence) for sentence in sentences)
    shares = np.bincount([share_of(sentence, 10) for sentence in sentences], minlength=10)
    assert shares.min() > 25
    assert len({share_of(text, 10) for text in ("The Old Boat", "the old boat")}) == 1


def test_voice_print_hears_pitch_and_timbre_but_not_level():
    from voices.voices import distance, voice_print

    def buzz(pitch: float, tilt: float) -> np.ndarray:
        time = np.arange(32000) / 16000
        harmonics = np.arange(1, int(7000 / pitch))
        return sum(h**-tilt * np.sin(2 * np.pi * h * pitch * time) for h in harmonics)

    one = voice_print(buzz(120, 1.0))
    assert one.shape == (65,)
    assert 50 * 2 ** (one[-1] / 12) == pytest.approx(120, rel=0.01)
    assert distance(one, voice_print(0.1 * buzz(120, 1.0))) < 1e-6
    assert distance(one, voice_print(buzz(240, 1.0))) > 11.9
    assert distance(one, voice_print(buzz(120, 2.0))) > 3


def test_trim_keeps_speech_alone():
    pytest.importorskip("espeakng_loader")
    from voices.corpus import finish, loud_span

    speech = np.sin(np.arange(1600))
    padded = np.concatenate([np.zeros(480), speech, 1e-4 * speech])
    assert loud_span(padded, 16000) == (480, 2080)
    assert loud_span(np.zeros(800), 16000) == (0, 0)
    wave = finish(20000 * np.sin(np.arange(22050) / 9), 22050, 3.0)
    assert len(wave) == 16000
    assert 10 * np.log10(np.mean(wave**2)) == pytest.approx(-24.0, abs=1e-9)


def test_room_responses_begin_with_the_direct_sound():
    from voices.acoustics import room_response

    for seed in range(20):
        room = room_response(np.random.default_rng(seed))
        assert np.abs(room).argmax() == 0
        assert np.sum(room**2) == pytest.approx(1.0)
        assert 0.15 * 16000 <= len(room) <= 0.6 * 16000
        left = 10 * np.log10(np.sum(room[len(room) * 3 // 4 :] ** 2))
        assert left < -25


def test_places_in_a_room_share_its_decay_and_begin_with_that_of_one():
    from voices.acoustics import room_response, room_responses

    first, *others = room_responses(np.random.default_rng(5), 4)
    np.testing.assert_array_equal(first, room_response(np.random.default_rng(5)))
    assert {len(place) for place in others} == {len(first)}
    assert not any(np.array_equal(first[:640], place[:640]) for place in others)


def test_noises_have_their_level_and_colour():
    from voices.acoustics import NOISE_KINDS, noise

    low = {}
    for kind in NOISE_KINDS:
        wave = noise(kind, np.random.default_rng(3), 4.0)
        assert len(wave) == 64000
        assert 10 * np.log10(np.mean(wave**2)) == pytest.approx(-30, abs=0.5)
        power = np.abs(np.fft.rfft(wave)) ** 2
        low[kind] = power[: len(power) // 8].sum() / power.sum()  # under 1 kHz
    assert low["white"] < 0.3 < low["pink"] < low["brown"]

"""Files behind the pages of recordings: audio, annotations and evaluated regions."""

from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource
from diarize.io.formats import FORMATS, format_of, read_annotated_turns
from diarize.io.table import read_table
from diarize.io.uem import read_uem
from diarize.report.page.content import LabelKind, PageContent, RecordingInput, make_content
from diarize.report.page.heat import Posteriors
from diarize.report.page.sound import Sound, read_sound
from diarize.segments import Regions, Turn


class PageSources:
    """Files of one audio file, or of a data directory.

    hyp, ref: annotations in any format; without ``ref`` nothing is scored
    data: directory whose ``wav.scp``, ``rttm`` and ``uem`` are used where no other file is named
    audio: file of a single recording, whose id is ``recording``, else the name of the file
    allow_pipes: run the commands in wav.scp
    """

    def __init__(
        self,
        hyp: str,
        ref: str | None = None,
        uem: str | None = None,
        data: str | None = None,
        audio: str | None = None,
        recording: str | None = None,
        allow_pipes: bool = False,
    ) -> None:
        self._audio: dict[str, AudioSource] = {}
        self._single = None
        if data:
            scp = Path(data) / "wav.scp"
            self._audio = {
                name: AudioSource(rxfilename, allow_pipes, Path(data), name)
                for name, rxfilename in read_table(scp).items()
            }
            ref, uem = ref or _beside(data, "rttm"), uem or _beside(data, "uem")
        elif audio:
            self._single = recording or Path(audio).stem
            self._audio = {self._single: AudioSource(audio, recording=self._single)}
        self._hyp, self._ref = self._read(hyp), self._read(ref) if ref else None
        self._uem: dict[str, Regions] = read_uem(uem) if uem else {}
        named = {"audio": audio or data, "output": hyp, "reference": ref, "UEM": uem}
        self.files = {name: path for name, path in named.items() if path}
        self._data = bool(data)

    def recordings(self) -> list[str]:
        """Return the recordings that pages can be made of, sorted."""
        return sorted(self._audio or self._hyp)

    def check(self, recordings: list[str]) -> None:
        """Raise DiarizeError unless all are known."""
        if not recordings:
            raise DiarizeError(f"{self.files['output']}: no recording")
        for name in recordings:
            if self._audio and name not in self._audio:
                raise DiarizeError(f"{self.files['audio']}: no recording {name}")
            # A data directory may contain recordings in which no speech was found.
            if not self._data and self._hyp and name not in self._hyp:
                found = ", ".join(sorted(self._hyp)[:3])
                raise DiarizeError(
                    f"{self.files['output']}: no recording {name}, but {found}; add --recording"
                )

    def content(
        self,
        recording: str,
        page: Path,
        mode: str,
        collar: float,
        labels: LabelKind,
        posteriors: Posteriors | None = None,
    ) -> tuple[PageContent, Sound | None]:
        """Return the content of the file ``page``, and its sound by ``mode``, None without any."""
        source = self._audio.get(recording)
        sound = read_sound(source, mode, page) if source else None
        data = RecordingInput(
            recording,
            self._hyp.get(recording, []),
            None if self._ref is None else [t.segment for t in self._ref.get(recording, [])],
            self._uem.get(recording),
            posteriors,
            labels,
        )
        return make_content(data, sound, collar), sound

    def _read(self, path: str) -> dict[str, list[Turn]]:
        """Return the turns of a file by recording."""
        turns = read_annotated_turns(path)
        if self._single and FORMATS[format_of(path)].one_recording:
            # Such a file has no recording id.
            turns = [turn._replace(recording=self._single) for turn in turns]
        out: dict[str, list[Turn]] = {}
        for turn in turns:
            out.setdefault(turn.recording, []).append(turn)
        return out


def _beside(data: str, name: str) -> str | None:
    path = Path(data) / name
    return str(path) if path.is_file() else None

"""Writing of results, each when it is done."""

from pathlib import Path

from diarize.errors import DiarizeError
from diarize.infer.result import Result
from diarize.infer.stored import write_kaldi_files
from diarize.io.destination import Destination
from diarize.io.filename import file_name
from diarize.io.formats import annotation_text, write_rttm_text
from diarize.segments import Turn

# Formats whose files are the lines of their recordings, one after the other.
_BY_LINE = ("rttm", "jsonl", "ctm", "stm")


class Output:
    """The place of the results of ``total`` recordings.

    * In a folder each recording is a file of its own, written when it is done.
    * Standard output gets each recording when it is done, if the format allows that.
    * A file of several recordings, and a data directory (``kaldi``), appear at the end, in the
      order of the input.  Until then, finished recordings are in ``<file>.partial``, as RTTM:
      a run that is killed leaves them there.
    """

    def __init__(
        self, place: Destination, total: int, kaldi: bool = False, task: str = "speaker"
    ) -> None:
        self.place, self.total, self.kaldi, self.task = place, total, kaldi, task
        self._found: dict[int, tuple[str, list[Turn]]] = {}
        self._partial: Path | None = None
        place.check(None if kaldi else total)

    def add(self, index: int, result: Result, name: str = "") -> None:
        """Write the result of input ``index``; ``name`` is that of its file, without suffix."""
        form = self.place.form
        if self.place.folder and not self.kaldi:
            result.write(self.place.place(name or file_name(result.recording)))
        elif not self.kaldi and (self.total == 1 or (self._prints and form in _BY_LINE)):
            self.place.put(result.text(form))
        else:
            self._found[index] = (result.recording, result.turns)
            self._keep(result.turns)

    def close(self) -> None:
        """Publish the rest of the output; the partial file is removed."""
        if self._found:
            rows = [self._found[index] for index in sorted(self._found)]
            turns = [turn for _, own in rows for turn in own]
            if self.kaldi:
                names = [name for name, _ in rows]
                write_kaldi_files(self.place.path, turns, names, self.task)
            elif self.place.form in _BY_LINE:
                texts = (annotation_text(self.place.form, own) for _, own in rows)
                self.place.put("".join(texts))
            else:
                self.place.put(annotation_text(self.place.form, turns))
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)

    @property
    def _prints(self) -> bool:
        return self.place.path is None

    def _keep(self, turns: list[Turn]) -> None:
        """Append the turns to the partial file."""
        path = self.place.path
        if path is None or (path.exists() and not path.is_file() and not path.is_dir()):
            return
        whole = path / "rttm" if self.kaldi else path
        partial = whole.with_name(f"{whole.name}.partial")
        try:
            with open(partial, "a" if self._partial else "w", encoding="utf-8") as handle:
                handle.write(write_rttm_text(turns))
        except OSError as err:
            raise DiarizeError(f"cannot write {partial}: {err.strerror}") from err
        self._partial = partial

"""Where a command writes segments: standard output, a file, or a directory of files."""

import fcntl
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.annotation import NO_MEDIA, Media
from diarize.io.atomic import atomic_write
from diarize.io.filename import file_name
from diarize.io.formats import (
    FORMATS,
    annotation_text,
    check_writable,
    format_of,
    make_folder,
)
from diarize.segments import Segment, Turn, as_turn


@dataclass(frozen=True)
class Destination:
    """The place and the format of the output.

    ``path`` is None for standard output; a ``folder`` has one file per recording.
    """

    path: Path | None
    form: str
    folder: bool = False

    @classmethod
    def parse(cls, out: str | os.PathLike | None, form: str | None = None) -> "Destination":
        """Return the destination ``out``, in the format ``form`` or that of its suffix.

        None and ``-`` are standard output.  An existing directory, a name that ends with ``/``,
        and a name without suffix that is not that of a format (``rttm``) are directories.
        By default the format is RTTM.  Raises DiarizeError for an unknown
        suffix.
        """
        if out is None or str(out) == "-":
            return cls(None, form or "rttm")
        path = Path(out)
        bare = not path.suffix and path.name.lower() not in FORMATS
        device = path.exists() and not path.is_dir() and not path.is_file()
        if path.is_dir() or str(out).endswith("/") or (bare and not device):
            return cls(path, form or "rttm", folder=True)
        if device:
            return cls(path, form or "rttm")
        return cls(path, format_of(path, form))

    def check(self, recordings: int | None = None) -> None:
        """Raise DiarizeError if the output cannot be written, before any work; make a directory.

        ``recordings`` is the number of recordings, where it is known.
        """
        if (recordings or 0) > 1 and not self.folder and FORMATS[self.form].one_recording:
            suffix = FORMATS[self.form].suffix
            raise DiarizeError(
                f"{self.path or 'standard output'}: a {suffix} file contains one recording, not "
                f"{recordings}; write to a directory"
            )
        if self.path is None:
            if _is_closed(sys.stdout):
                raise DiarizeError("standard output is closed; write to a file")
        elif self.folder:
            make_folder(self.path)
        else:
            check_writable(self.path)

    def place(self, name: str) -> Path:
        """Return the path of the file of the recording with the file name ``name``."""
        assert self.path is not None
        return self.path / f"{name}{FORMATS[self.form].suffix}" if self.folder else self.path

    def write(self, segments: Iterable[Segment | Turn], media: Media = NO_MEDIA) -> None:
        """Write all ``segments``: as one text, or in a directory one file per recording."""
        turns = list(map(as_turn, segments))
        names = sorted({turn.recording for turn in turns})
        self.check(len(names))
        if not self.folder:
            self.put(annotation_text(self.form, turns, media))
            return
        for name in names:
            own = [turn for turn in turns if turn.recording == name]
            with atomic_write(self.place(file_name(name))) as handle:
                handle.write(annotation_text(self.form, own, media))

    def put(self, text: str) -> None:
        """Write ``text`` to the file, or to standard output at once."""
        if self.path is None:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        with atomic_write(self.path) as handle:
            handle.write(text)


def _is_closed(stream: object) -> bool:
    """Whether a standard stream cannot be written to."""
    if stream is None:
        return True
    try:
        flags = fcntl.fcntl(stream.fileno(), fcntl.F_GETFL)
    except (OSError, ValueError, AttributeError):
        return bool(getattr(stream, "closed", False))  # not a file, as in a notebook
    return flags & os.O_ACCMODE == os.O_RDONLY

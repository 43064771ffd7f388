"""File names of ids (recordings, utterances, speakers, labels), and ids of file names."""

import hashlib

_MAX_BYTES = 200  # of 255: a suffix and the affixes of a temporary file are added
_SPECIAL = frozenset(" %/\\*?[]")  # separators, and patterns of shells and of `Path.glob`
_NOT_FIRST = frozenset(".-~")  # hidden files, '..', options, home directories


def file_name(key: str, suffix: str = "") -> str:
    """Return the file name of id ``key``, followed by ``suffix``: one component of a path.

    Different ids have different names.  What a name should not contain is percent-encoded (RFC
    3986, of UTF-8): ``/``, ``%``, blanks, control and other unprintable characters, the patterns
    of a shell, and a leading ``.``, ``-`` or ``~``.  `urllib.parse.unquote`, with
    ``errors="surrogatepass"``, returns the id.  A name of more than 200 bytes is cut instead and
    ends with ``%-`` and a digest of the id.

    >>> file_name("mix_0000001", ".wav"), file_name("../x", ".png"), file_name("a b")
    ('mix_0000001.wav', '%2E.%2Fx.png', 'a%20b')
    """
    name = "".join(
        char if char.isprintable() and char not in _SPECIAL else _percent(char) for char in key
    )
    if name[:1] in _NOT_FIRST:
        name = _percent(name[0]) + name[1:]
    if len(name.encode()) > _MAX_BYTES:
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        name = name.encode()[: _MAX_BYTES - 2 - len(digest)].decode(errors="ignore")
        name += f"%-{digest}"
    return name + suffix


def recording_id(name: str) -> str:
    """Return the id of the recording in the audio file ``name`` (without folder and suffix).

    Characters that a field of RTTM and of Kaldi's tables cannot contain are percent-encoded:
    blanks of any kind, control and other unprintable characters, bytes that are not UTF-8, and a
    leading ``;`` or ``#``, which begins a comment.

    >>> recording_id("team meeting"), recording_id("#1"), recording_id("Zoë\u202f2")
    ('team%20meeting', '%231', 'Zoë%E2%80%AF2')
    """
    # Bytes that the locale cannot decode may still be UTF-8.
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    out = "".join(char if char.isprintable() and char != " " else _percent(char) for char in name)
    return _percent(out[0]) + out[1:] if out[:1] in (";", "#") else out


def _percent(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is not UTF-8, in a name from the system
        return f"%{ord(char) - 0xDC00:02X}"
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))

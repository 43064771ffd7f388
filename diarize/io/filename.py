"""File names of ids: recordings, utterances, speakers and labels."""

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


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))

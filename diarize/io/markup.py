"""XML without entities."""

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from diarize.errors import DiarizeError


def parse_xml(data: bytes, path: Path) -> ElementTree.Element:
    """Return the root element of the XML document ``data`` of the file ``path``.

    Raises DiarizeError, naming the line, for what is not XML, and for the declaration of an
    entity: a few lines of nested entities represent gigabytes, and an entity may name a file.
    """
    parser = expat.ParserCreate()

    def refuse(name: str, *_: object) -> None:
        line = parser.CurrentLineNumber
        raise DiarizeError(
            f"{path}:{line}: declares the entity {name!r}: entities are not accepted; write the "
            "text in its place"
        )

    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
        return ElementTree.fromstring(data)
    except (expat.ExpatError, ElementTree.ParseError) as err:
        line = getattr(err, "lineno", 1)
        raise DiarizeError(f"{path}:{line}: not XML: {err}") from None
    except (ValueError, LookupError) as err:  # of codecs
        raise DiarizeError(f"{path}:1: not XML in a known encoding: {err}; use UTF-8") from None

"""Texts of models and users as they are shown: on terminals, in pages, in Markdown."""

from __future__ import annotations

import codecs
import re
from unicodedata import category, normalize

# Colours, movements of the cursor, titles of windows: ECMA-48 with 7-bit and 8-bit introducers.
ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
SUBSTITUTES = "physbench.substitutes"  # a handler of errors, for streams whose encoding lacks characters
LIKE_ASCII = "physbench-ascii"  # ASCII by another name: typer writes UTF-8 to a stream that calls itself ascii
# What stands for a character that a terminal lacks, of those that are no letter or digit with a mark.
_SUBSTITUTE = {
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys("‘’‚′", "'"),
    **dict.fromkeys("“”„″«»", '"'),
    **{"×": "x", "·": "*", "•": "*", "µ": "u", "°": " deg", "…": "...", "≤": "<=", "≥": ">=", "±": "+-"},
    **{"½": "1/2", "¼": "1/4", "¾": "3/4", "→": "->", "ß": "ss", "æ": "ae", "ø": "o", REPLACEMENT: "?"},
}


def printable(text: str, keep: str = "") -> str:
    """The text with a replacement character for each that is not printable.

    Those are control characters, with them the escape sequences of terminals, and what changes the direction or the
    order of what is read. Spaces of all widths stay.

    keep: Characters that stay, such as ends of lines.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in keep or category(sign) == "Zs" else REPLACEMENT for sign in text
    )


def substitutes(error: UnicodeError) -> tuple[str, int]:
    """The handler SUBSTITUTES: "m/s2" for "m/s²", "Muller" for "Müller", and "?" for what resembles no character."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_SUBSTITUTE.get(sign) or _without_marks(sign) or "?" for sign in signs), error.end


def _without_marks(sign: str) -> str:
    return normalize("NFKD", sign).encode("ascii", "ignore").decode("ascii")


def _like_ascii(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != LIKE_ASCII:
        return None
    plain = codecs.lookup("ascii")
    return codecs.CodecInfo(
        plain.encode,
        plain.decode,
        incrementalencoder=plain.incrementalencoder,
        incrementaldecoder=plain.incrementaldecoder,
        name=LIKE_ASCII,
    )


codecs.register_error(SUBSTITUTES, substitutes)
codecs.register(_like_ascii)


def without_escapes(text: str) -> str:
    """One line of a program's output without the escape sequences of terminals, and printable but for tabs.

    >>> without_escapes("\\x1b[31mloss\\x1b[0m 0.5")
    'loss 0.5'
    """
    return printable(ESCAPES.sub("", text), keep="\t")

"""Texts of models and users as they are shown: on terminals, in pages, in Markdown."""

from __future__ import annotations

from unicodedata import category

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str, keep: str = "") -> str:
    """The text with a replacement character for each that is not printable.

    Those are control characters, with them the escape sequences of terminals, and what changes the direction or the
    order of what is read. Spaces of all widths stay.

    Args:
        text: What is shown.
        keep: Characters that stay, such as ends of lines.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in keep or category(sign) == "Zs" else REPLACEMENT for sign in text
    )

"""What a submitter says of a model: shown beside its scores, as it is said."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from physbench.errors import UsageError

MOST_CHARACTERS = 300  # of a text
MOST_PARAMETERS = 10**15
LINKS = ("paper", "code", "weights")


@dataclass(frozen=True)
class Submission:
    """Who submits an entry, and where more about its model can be read; "" and None: not said."""

    submitter: str = ""
    paper: str = ""
    code: str = ""
    weights: str = ""
    parameters: int | None = None  # of the model

    @property
    def links(self) -> dict[str, str]:
        """The links that are given, by what they lead to."""
        return {name: getattr(self, name) for name in LINKS if getattr(self, name)}

    def check(self) -> None:
        """Raise UsageError where a text is too long or not printable, or a link is none that a page may hold."""
        for name in ("submitter", *LINKS):
            text = getattr(self, name)
            if not isinstance(text, str) or len(text) > MOST_CHARACTERS or not text.isprintable():
                raise UsageError(f"--{name}: expected at most {MOST_CHARACTERS} printable characters.")
        for name, link in self.links.items():
            if not _leads_to_a_page(link):
                raise UsageError(f"--{name}: expected a link such as https://example.org/{name}, got '{link}'.")
        whole = self.parameters is None or (isinstance(self.parameters, int) and not isinstance(self.parameters, bool))
        if not whole:
            raise UsageError(f"--parameters: expected a whole number, got {self.parameters!r}.")
        if self.parameters is not None and not 1 <= self.parameters <= MOST_PARAMETERS:
            raise UsageError(f"--parameters: expected a number from 1 to {MOST_PARAMETERS:.0e}, got {self.parameters}.")


def _leads_to_a_page(link: str) -> bool:
    """Whether a link is one of the web: no script, no file."""
    try:
        parts = urlsplit(link)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and not set(link) & set(" \"'<>\\")
    except ValueError:
        return False


def parameter_count(text: str) -> int:
    """ "1300000000", "1.3e9", "1.3B", "350M" -> a number of parameters.

    Raises:
        UsageError: It is no number.

    >>> parameter_count("1.3B")
    1300000000
    """
    scale = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}.get(text[-1:].lower(), 1.0)
    try:
        return round(float(text if scale == 1 else text[:-1]) * scale)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--parameters: expected a number such as 350M or 1.3e9, got '{text}'.") from error


def short_count(count: int) -> str:
    """ "350M", "1.3B".

    >>> short_count(1_300_000_000)
    '1.3B'
    """
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if round(count / size, 3) >= 1:
            return f"{count / size:.3g}{letter}"
    return str(count)

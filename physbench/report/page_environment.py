"""The template engine of all pages: what comes from models and users is escaped, and nothing may be missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from physbench.printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment


def _plain(value: object) -> object:
    """What is shown of a value: in texts of models and users no character that is not printable."""
    from markupsafe import Markup

    return printable(value, keep="\n\t") if isinstance(value, str) and not isinstance(value, Markup) else value


def page_environment(package: str, **filters: Callable[..., object]) -> Environment:
    """The template engine for the folder `templates` of a package, with filters by name."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    environment.filters |= filters
    return environment

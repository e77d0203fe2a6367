"""The templates of the pages that are made from code and tables."""

from __future__ import annotations

import inspect
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from physbench.clips.task import short_names
from physbench.result.formats import fixed

TEMPLATES = Path(__file__).with_name("templates")


def rendered(template: str, **values: object) -> str:
    """A page as Markdown."""
    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"plain": plain, "cleandoc": inspect.cleandoc, "fixed": fixed, "task_name": task_name}
    return environment.get_template(template).render(**values)


def plain(text: str) -> str:
    """Text in which Markdown has nothing to mark up: formulas hold *, _ and |."""
    for mark in "\\*_|<[$":
        text = text.replace(mark, "\\" + mark)
    return text


def task_name(task_id: str) -> str:
    """ "ramp-up" of "falling/ramp-up-v1"."""
    return short_names(task_id)[1]

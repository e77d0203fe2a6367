"""Sentences of a file in place of the prompts of tasks, for models that read words: `--prompts FILE`.

JSON `{"falling.projectile-v1.test.0": "A ball flies.", ...}`, JSON lines `{"clip": ..., "prompt": ...}`, or CSV with
the columns `clip` and `prompt`. Every clip that is rolled out has one sentence, and no other clip has any.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from physbench.clips.clip import Row
from physbench.support.errors import UsageError, nearest
from physbench.support.files import file_sha256, user_text

OPTION = "--prompts"
MOST_BYTES = 1 << 26
COLUMNS = ("clip", "prompt")


def read_prompts(path: str) -> dict[str, str]:
    """The sentences of a file by the id of their clip. Raises UsageError, with the place, where it is none."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{OPTION} {path}: {error.strerror or error}.") from None
    if len(content) > MOST_BYTES:
        raise UsageError(f"{OPTION} {path}: expected a file of at most {MOST_BYTES >> 20} MB.")
    try:
        text = user_text(content)
    except ValueError:
        raise UsageError(f"{OPTION} {path}: expected text in UTF-8.") from None
    prompts: dict[str, str] = {}
    most_characters = 10_000  # of a sentence
    for place, clip, prompt in _entries(text, path):
        if not isinstance(clip, str) or not isinstance(prompt, str) or not prompt.strip():
            raise UsageError(f"{OPTION} {path}, {place}: expected the id of a clip and a sentence of words.")
        if any("\ud800" <= each <= "\udfff" for each in prompt):
            raise UsageError(f"{OPTION} {path}, {place}: expected text, but got half of a surrogate pair.")
        if len(prompt) > most_characters:
            raise UsageError(f"{OPTION} {path}, {place}: expected at most {most_characters:,} characters.")
        if clip in prompts:
            raise UsageError(f"{OPTION} {path}, {place}: {clip} has a sentence already.")
        prompts[clip] = prompt.strip()
    return prompts


def _entries(text: str, path: str) -> Iterator[tuple[str, Any, Any]]:
    """(place, clip, prompt) of each entry, by what the file begins with: an object, objects in lines, or a table."""
    form = f'{OPTION} {path}: expected JSON {{clip: prompt}}, lines of {{"clip": ..., "prompt": ...}}, or CSV'
    if not text.lstrip().startswith("{"):
        table = csv.DictReader(io.StringIO(text))
        if missing := [name for name in COLUMNS if name not in (table.fieldnames or ())]:
            raise UsageError(f"{form} with the columns clip and prompt; there is no column {missing[0]}.")
        try:
            yield from ((f"line {table.line_num}", row["clip"], row["prompt"]) for row in table)
        except csv.Error as error:
            raise UsageError(f"{form}; {error}.") from None
        return
    try:
        whole = json.loads(text, object_pairs_hook=partial(_object, path))
    except (ValueError, RecursionError):
        whole = None  # several objects
    if isinstance(whole, dict) and set(whole) != set(COLUMNS):
        yield from ((clip, clip, prompt) for clip, prompt in whole.items())
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict) or set(entry) != set(COLUMNS):
            raise UsageError(f"{form}; line {number} is none of these.")
        yield f"line {number}", entry["clip"], entry["prompt"]


def _object(path: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises UsageError where it names a clip twice, of which JSON would keep the last."""
    names = Counter(name for name, _ in pairs)
    if twice := [name for name, many in names.items() if many > 1]:
        raise UsageError(f"{OPTION} {path}: {twice[0]!a:.100} stands in it twice.")
    return dict(pairs)


def check_prompts(path: str, prompts: Mapping[str, str], rows: Iterable[Row], known: Iterable[Row]) -> None:
    """Refuse a file that lacks sentences of clips, or has some of others.

    Args:
        asked: Clips that are rolled out.
        known: Clips of the whole suite, of which only some may have been asked for.
    """
    wanted = [row.id for row in rows]
    if missing := [clip for clip in wanted if clip not in prompts]:
        raise UsageError(
            f"{OPTION} {path}: {len(missing)} of {len(wanted)} clips have no sentence, {missing[0]} first."
        )
    ids = {*wanted, *(row.id for row in known)}
    if other := [clip for clip in prompts if clip not in ids]:
        raise UsageError(
            f"{OPTION} {path}: {len(other)} of {len(prompts)} sentences are for clips that the suite does not have, "
            f"{other[0]!a:.100} first.{nearest(other[0], ids)}"
        )


def prompt_documents(path: str | None) -> list[dict[str, str]]:
    """Path and hash of the file, for manifest.json."""
    if path is None:
        return []
    try:
        return [{"path": path, "sha256": file_sha256(Path(path))}]
    except OSError as error:
        raise UsageError(f"{OPTION} {path}: {error.strerror or error}.") from None

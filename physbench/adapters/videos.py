"""Videos that a model made elsewhere: `videos:DIR`, the folder or archive that answers `physbench data export`.

The folder holds one video per clip and `answer.json`. --model-arg name=, fit=, includes_context=, fps=, track=,
uses_actions= say what the file does not, and export=PATH names the manifest of the export where neither lies in the
folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.adapters.model_protocol import Model, ModelCard
from physbench.errors import ModelError, UsageError, nearest

if TYPE_CHECKING:
    import torch

    from physbench.adapters.videos_listing import Listing
    from physbench.adapters.videos_source import Source
    from physbench.clips.clip import Row
    from physbench.clips.conditioning import Answer
    from physbench.clips.suite import Suite

ARGUMENTS = ("name", "fit", "includes_context", "fps", "track", "uses_actions")
SHOWN = 12  # names in a line; `physbench models check` has them all


def place(target: str) -> Path:
    """The folder or archive of a target."""
    return Path(target.removeprefix("videos:")).expanduser()


def is_ours(path: Path) -> bool:
    """Whether a path is a folder with the document of an export or of an answer."""
    for name in ("answer.json", "manifest.json"):
        try:
            with (path / name).open("rb") as file:
                start = file.read(200)
        except OSError:
            continue
        if b'"physbench-answer"' in start or b'"physbench-conditioning"' in start:
            return True
    return False


def read_answer(path: Path, source: Source, model_args: Mapping[str, str]) -> Answer:
    """What is said of the videos: answer.json or manifest.json beside them, or `export`, then --model-arg above it."""
    from pydantic import ValidationError

    from physbench.clips.conditioning import (
        ANSWER,
        MANIFEST,
        MAX_DOCUMENT_BYTES,
        Answer,
        first_problem,
        read_document,
        read_file,
    )

    for key in model_args:
        if key not in (*ARGUMENTS, "export"):
            raise ModelError(f"--model-arg {key}: videos have no argument of that name.{nearest(key, ARGUMENTS)}")
    beside = {file.name: file for file in source.files if file.name in (ANSWER, MANIFEST) and not file.oddity}
    if "export" in model_args:
        given = Path(model_args["export"]).expanduser()
        answer = read_file(given / MANIFEST if given.is_dir() else given)
    elif beside:
        file = beside.get(ANSWER) or beside[MANIFEST]
        if file.size > MAX_DOCUMENT_BYTES:
            raise ModelError(f"{path}: {file.name} is larger than {MAX_DOCUMENT_BYTES >> 20} MB.")
        with source.open(file) as stream:
            answer = read_document(stream.read(), f"{path}/{file.name}")
    else:
        raise ModelError(
            f"{path} has no {ANSWER}: it says what was asked and lies in the folder `answers` of the export.\n"
            f"Put it there, or name the export: --model-arg export=cond/{MANIFEST}. `physbench data export` makes one."
        )
    said = answer.model_dump()
    for key, text in model_args.items():
        if key == "includes_context":
            said[key] = {"true": True, "false": False}.get(text.lower(), int(text) if text.isdecimal() else text)
        elif key != "export":
            said[key] = text
    try:
        return Answer.model_validate(said)
    except ValidationError as error:
        raise ModelError(f"--model-arg {first_problem(error)}") from None


def opened(target: str, model_args: Mapping[str, str]) -> tuple[Source, Answer, Listing]:
    """The files of a target, what is said of them, and which answers what."""
    from physbench.adapters.videos_listing import list_answers
    from physbench.adapters.videos_source import Source

    path = place(target)
    source = Source(path)
    answer = read_answer(path, source, model_args)
    return source, answer, list_answers(source, [clip.id for clip in answer.asked.clips])


def some(names: Sequence[str]) -> str:
    """The names, or the first of very many."""
    if len(names) <= SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[:SHOWN])} and {len(names) - SHOWN} more (`physbench models check` lists all)"


class VideosAdapter:
    """`videos:DIR`, or a folder with answer.json."""

    name = "videos"
    summary = "videos:DIR  videos made elsewhere, for what `physbench data export` wrote"

    def recognises(self, target: str) -> bool:
        return target.startswith("videos:") or is_ours(Path(target).expanduser())

    def check(self, target: str) -> None:
        from physbench.adapters.unrecognised import missing

        path = place(target)
        if not path.exists():
            raise ModelError(missing(path))
        if (path / "answers").is_dir() and is_ours(path):
            raise ModelError(f"{path} is what was exported. Did you mean videos:{path / 'answers'}?")

    def sha256(self, target: str) -> str | None:
        from physbench.adapters.videos_source import Source

        return Source(place(target)).sha256()

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        return []

    def preflight(self, target: str, suite: Suite, samples: int, model_args: Mapping[str, str]) -> list[str]:
        """What is missing and in excess for these clips; UsageError where they are not those that were exported."""
        _, answer, listing = opened(target, model_args)
        asked = {clip.id: clip for clip in answer.asked.clips}
        others = [row for row in suite.rows if row.id not in asked]
        if others:
            raise UsageError(
                f"{place(target)} answers {len(asked)} clips; {len(others)} of the {len(suite.rows)} clips asked for "
                f"were not exported (the first is {others[0].id}).\nEvaluate with {answer.asked.suite.options}."
            )
        changed = [row for row in suite.rows if asked[row.id].state_hash != suite.state_hash(row)]
        if changed:
            raise UsageError(
                f"{len(changed)} clips are not what they were at the export (the first is {changed[0].id}): another "
                "version of the task or of the physics. Export again."
            )
        ids = [row.id for row in suite.rows]
        absent = listing.missing(ids, samples)
        wanted = len(ids) * samples
        lines = [f"{place(target)}: {wanted - len(absent)} of {wanted} videos are there."]
        if absent:
            lines.append(f"{len(absent)} missing, which count as failed: {some(absent)}")
        if listing.extra:
            extra = [f"{name!r} ({why})" for name, why in listing.extra.items()]
            lines.append(f"{len(extra)} extra, not used: {some(extra)}")
        unused = [entry.name for key, entry in listing.entries.items() if key[1] >= samples and key[0] in ids]
        if unused:
            lines.append(f"{len(unused)} further samples, not used: raise --samples above {samples}.")
        return lines

    def rows(self, target: str, model_args: Mapping[str, str]) -> list[Row]:
        """Clips that have a video, to look at."""
        _, answer, listing = opened(target, model_args)
        return [clip.row for clip in answer.asked.clips if (clip.id, 0) in listing.entries]

    def inspect(self, target: str, model_args: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Every file decoded: ("result" where some cannot be scored, "missing", ..., "note"; words)."""
        from physbench.adapters.videos_check import inspect

        return inspect(*opened(target, model_args))

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        from physbench.adapters.videos_model import Videos

        source, answer, listing = opened(target, model_args)
        return Videos(source, answer, listing)


adapter: Any = VideosAdapter()

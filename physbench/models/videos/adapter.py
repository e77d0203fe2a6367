"""The adapter for videos that a model made elsewhere: `videos:DIR`, the answer to `physbench data export`.

The folder or archive holds one video per clip and `answer.json`, the *answer document*. --model-arg name=, fit=,
includes_context=, fps=, track=, training_clips=, uses_actions= override its fields, export=PATH names the manifest of
the export where the folder has neither document, and key=PATH the key of the export where it does not lie beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.models.adapter import Adapter, describe_missing_path
from physbench.models.protocol import Model
from physbench.support.errors import ModelError, UsageError, nearest
from physbench.support.files import user_path

if TYPE_CHECKING:
    import torch

    from physbench.clips.clip import Row
    from physbench.clips.conditioning import Answer
    from physbench.clips.suite import Suite
    from physbench.models.videos.files import VideoListing, VideoSource

# Arguments that are fields of the answer document, and those that are none
ARGUMENTS = ("name", "fit", "includes_context", "fps", "track", "training_clips", "uses_actions")
PATHS = ("export", "key")


def videos_path(target: str) -> Path:
    """The folder or archive of a target."""
    return user_path(target.removeprefix("videos:"))


def is_export_folder(path: Path) -> bool:
    """True if a path is a folder with an answer document or the manifest of an export."""
    for name in ("answer.json", "manifest.json"):
        try:
            with (path / name).open("rb") as file:
                start = file.read(200)
        except OSError:
            continue
        if b'"physbench-answer"' in start or b'"physbench-conditioning"' in start:
            return True
    return False


def read_answer(path: Path, source: VideoSource, model_args: Mapping[str, str]) -> Answer:
    """Read the answer document.

    Args:
        path: The folder or archive.
        source: Its files.
        model_args: `export` names another document, `key` the key; the other arguments override fields of the document.

    Raises:
        ModelError: There is no document, or a field has no valid value.
        UsageError: There is no key, and the export needs one.
    """
    from pydantic import ValidationError

    from physbench.clips.conditioning import (
        ANSWER,
        MANIFEST,
        MAX_DOCUMENT_BYTES,
        Answer,
        find_key,
        first_problem,
        read_document,
        read_file,
    )

    beside = {file.name: file for file in source.files if file.name in (ANSWER, MANIFEST) and not file.problem}
    if "export" in model_args:
        given = user_path(model_args["export"])
        answer = read_file(given / MANIFEST if given.is_dir() else given)
    elif beside:
        file = beside.get(ANSWER) or beside[MANIFEST]
        if file.size > MAX_DOCUMENT_BYTES:
            raise ModelError(f"{path}: {file.name} is larger than {MAX_DOCUMENT_BYTES >> 20} MB.")
        try:
            with source.open(file) as stream:
                content = stream.read()
        except OSError as error:
            raise ModelError(f"{path}: {file.name} cannot be read ({error.strerror or error}).") from None
        answer = read_document(content, f"{path}/{file.name}")
    else:
        raise ModelError(
            f"{path} has no {ANSWER}, which says what was asked. It lies in the folder `answers` of the export.\n"
            f"Put it there, or name the export: --model-arg export=cond/{MANIFEST}. `physbench data export` makes one."
        )
    fields = answer.model_dump()
    for key, text in model_args.items():
        if key == "includes_context":
            fields[key] = {"true": True, "false": False}.get(text.lower(), int(text) if text.isdecimal() else text)
        elif key not in PATHS:
            fields[key] = text
    try:
        answer = Answer.model_validate(fields)
    except ValidationError as error:
        raise ModelError(f"--model-arg {first_problem(error)}") from None
    if answer.training_clips is not None and answer.track == "zero-shot":
        raise ModelError(
            f"A model that was trained on {answer.training_clips} clips of the suite `train` is not zero-shot: say "
            f"--model-arg track=trained, or set `track` in {ANSWER}."
        )
    return find_key(answer, key_places(path, model_args))


def key_places(path: Path, model_args: Mapping[str, str]) -> list[Path]:
    """Possible paths of the key of an export: as `key` says, else beside the export, or beside the answers."""
    from physbench.clips.conditioning import key_path

    if "key" in model_args:
        return [user_path(model_args["key"])]
    if "export" in model_args:
        return [key_path(folder) for folder in export_folders(path, model_args)]
    return [key_path(path.resolve().parent), key_path(path.with_suffix("") if path.is_file() else path)]


def export_folders(path: Path, model_args: Mapping[str, str]) -> list[Path]:
    """Possible folders of the conditioning images: the export that `export` names, else the folder of the answers."""
    if "export" in model_args:
        export = user_path(model_args["export"])
        return [export if export.is_dir() else export.parent]
    return [path.resolve().parent]


def open_target(target: str, model_args: Mapping[str, str]) -> tuple[VideoSource, Answer, VideoListing]:
    """The files of a target, its answer document, and which file answers which clip."""
    from physbench.models.videos.files import VideoSource, list_answers

    path = videos_path(target)
    source = VideoSource(path)
    answer = read_answer(path, source, model_args)
    return source, answer, list_answers(source, [clip.id for clip in answer.asked.clips])


def abbreviated_list(names: Sequence[str]) -> str:
    """The names, or the first ones and the number of the others."""
    max_names_shown = 12  # in a line; `physbench models check` lists all
    if len(names) <= max_names_shown:
        return ", ".join(names)
    shown = ", ".join(names[:max_names_shown])
    return f"{shown} and {len(names) - max_names_shown} more (`physbench models check` lists all)"


class VideosAdapter(Adapter):
    """`videos:DIR`, or a folder with answer.json."""

    name = "videos"
    summary = "videos:DIR  videos made elsewhere, for what `physbench data export` wrote"

    def recognises(self, target: str) -> bool:
        return target.startswith("videos:") or is_export_folder(user_path(target))

    def check(self, target: str) -> None:
        path = videos_path(target)
        if not path.exists():
            raise ModelError(describe_missing_path(path))
        if (path / "answers").is_dir() and is_export_folder(path):
            raise ModelError(f"{path} is what was exported. Did you mean videos:{path / 'answers'}?")

    def check_arguments(self, target: str, model_args: Mapping[str, str]) -> None:
        known = (*ARGUMENTS, *PATHS)
        for key in model_args:
            if key not in known:
                raise ModelError(f"--model-arg {key}: videos have no argument of that name.{nearest(key, known)}")

    def sha256(self, target: str) -> str | None:
        from physbench.models.videos.files import VideoSource

        return VideoSource(videos_path(target)).sha256()

    def preflight(self, target: str, suite: Suite, samples: int, model_args: Mapping[str, str]) -> list[str]:
        """Notes on missing and extra videos. Raises UsageError where the suite is not the one that was exported."""
        _, answer, listing = open_target(target, model_args)
        requested = {clip.row.id: clip for clip in answer.asked.clips}
        others = [row for row in suite.rows if row.id not in requested]
        if others:
            raise UsageError(
                f"{videos_path(target)} answers {len(requested)} clips; {len(others)} of the {len(suite.rows)} clips "
                f"asked for were not exported (first: {others[0].id}).\nEvaluate with {answer.asked.suite.options}."
            )
        changed = [row for row in suite.rows if requested[row.id].state_hash != suite.state_hash(row)]
        if changed:
            raise UsageError(
                f"{len(changed)} clips are not what they were at the export (the first is {changed[0].id}): another "
                "version of the task or of the physics. Export again."
            )
        ids = [requested[row.id].id for row in suite.rows]
        absent = listing.missing(ids, samples)
        wanted = len(ids) * samples
        lines = [f"{videos_path(target)}: {wanted - len(absent)} of {wanted} videos are there."]
        if absent:
            lines.append(f"{len(absent)} missing, which count as failed: {abbreviated_list(absent)}")
        if listing.extra:
            extra = [f"{name!r} ({why})" for name, why in listing.extra.items()]
            lines.append(f"{len(extra)} extra, not used: {abbreviated_list(extra)}")
        unused = [entry.name for key, entry in listing.entries.items() if key[1] >= samples and key[0] in ids]
        if unused:
            lines.append(f"{len(unused)} further samples, not used: raise --samples above {samples}.")
        return lines

    def rows(self, target: str, model_args: Mapping[str, str]) -> list[Row]:
        """The clips that have a video."""
        _, answer, listing = open_target(target, model_args)
        return [clip.row for clip in answer.asked.clips if (clip.id, 0) in listing.entries]

    def inspect(self, target: str, model_args: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Decode every file and report problems: see `videos.model.inspect_videos`."""
        from physbench.models.videos.model import inspect_videos

        return inspect_videos(*open_target(target, model_args), export_folders(videos_path(target), model_args))

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        from physbench.models.videos.model import RecordedVideos

        model = RecordedVideos(*open_target(target, model_args), export_folders(videos_path(target), model_args))
        if model.start_is_open:
            model.begins_with_image()
        return model


adapter: Any = VideosAdapter()

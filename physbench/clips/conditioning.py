"""Documents of an export: what was exported, what came back, and the key of its names."""

from __future__ import annotations

import hashlib
import json
import secrets
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from physbench.clips.clip import Row, Split
from physbench.clips.suite import PROMPT_MOTION_OPTION, split_name
from physbench.support.errors import UsageError
from physbench.world.scene import FAR, PLAIN

# The key of an export: which clip each opaque id stands for. It lies beside the folder that goes to the model.
#
# Task and seed make a clip, its future included. What a model is given therefore names none of them: the names of its
# files, and the order of the manifest, come from a secret salt.

KEY_VERSION = 1


class ClipKey(BaseModel):
    """Clip behind an id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(description="Id of the task.")
    split: Split = Field(description="test, ood or gap.")
    seed: int = Field(description="Seed of the clip.")
    change: str = Field(
        default="", description='How the scene differs from the task, such as unpushed; "" if it does not.'
    )
    state_hash: str = Field(description="Hash of the simulated states: another version of the task has another.")


class ExportKey(BaseModel):
    """`NAME.key.json` beside the export NAME."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["physbench-key"] = "physbench-key"
    schema_version: int = Field(default=KEY_VERSION, description="Of this document.")
    salt: str = Field(description="Secret from which the ids were made; the same command makes the same ids with it.")
    clips: dict[str, ClipKey] = Field(default_factory=dict, description="By id.")

    def id(self, row: Row) -> str:
        """The opaque id of a clip."""
        digest = hashlib.blake2b(f"{self.salt}|{row.id}".encode(), digest_size=6)
        return f"clip-{digest.hexdigest()}"


def key_path(folder: Path) -> Path:
    """Path of the key of an export: "cond.key.json" beside "cond"."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}.key.json")


def read_key(path: Path) -> ExportKey:
    """Read a key. Raises UsageError where it cannot be read or is none."""
    try:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise UsageError(f"{path} is larger than {MAX_DOCUMENT_BYTES >> 20} MB: it is no key of an export.")
        document = json.loads(path.read_bytes())
        if isinstance(document, dict) and int(document.get("schema_version", 0)) > KEY_VERSION:
            raise UsageError(f"{path} is of a newer version than {KEY_VERSION}: update physbench.")
        return ExportKey.model_validate(document)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        raise UsageError(f"{path} is no key of an export. {first_problem(error)}") from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UsageError(f"{path} is no key of an export ({error}).") from None


def key_for(folder: Path) -> ExportKey:
    """The key for a new export: that of an earlier one of this name, so that its files are replaced, or a new one."""
    path = key_path(folder)
    return read_key(path) if path.exists() else ExportKey(salt=secrets.token_hex(16))


def without_key(document: dict[str, Any]) -> dict[str, Any]:
    """The document of an export or an answer, for the model: without what the key holds."""
    asked = document.get("asked", document)
    for clip in asked["clips"]:
        for name in ClipKey.model_fields:
            clip.pop(name)
    return document


def with_key(answer: Answer, key: ExportKey, where: Path) -> Answer:
    """The answer, its clips with what the key says of them. Raises UsageError where the key is of another export."""
    unknown = [clip.id for clip in answer.asked.clips if clip.id not in key.clips]
    if unknown:
        raise UsageError(f"{where} is the key of another export: it holds no {unknown[0]}.")
    clips = tuple(clip.model_copy(update=dict(key.clips[clip.id])) for clip in answer.asked.clips)
    return answer.model_copy(update={"asked": answer.asked.model_copy(update={"clips": clips})})


def find_key(answer: Answer, places: list[Path]) -> Answer:
    """Complete an answer with the key that lies beside one of these folders; exports of version 1 need none.

    Raises UsageError: no key is found, or it is of another export.
    """
    if all(clip.task for clip in answer.asked.clips):
        return answer
    for path in places:
        if path.is_file():
            return with_key(answer, read_key(path), path)
    looked = " or ".join(str(path) for path in dict.fromkeys(places))
    raise UsageError(
        f"There is no {looked}, which says which clip each video answers. `physbench data export` writes it beside the "
        "export.\nName it with --model-arg key=PATH."
    )


def sorted_by_id(asked: Asked) -> Asked:
    """The clips in the order of their ids, which says nothing of their seeds."""
    return asked.model_copy(update={"clips": tuple(sorted(asked.clips, key=lambda clip: clip.id))})


CONDITIONING_VERSION = 2  # 1: ids told task and seed, and there was no key
MANIFEST, ANSWER = "manifest.json", "answer.json"
EXPORTED_ACTIONS = "exported actions"  # setting of a run of videos, made for an export with `--actions`
MAX_DOCUMENT_BYTES = 64 * 2**20  # bytes of a document that is read

Fit = Literal["stretch", "contain", "cover"]
Side = Annotated[int, Field(ge=32, le=2048)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SuiteAsked(_Strict):
    """The clips that were exported."""

    name: str = Field(description="Name of the suite, for `--suite`.")
    version: int = Field(description="Version of the suite.")
    hash: str = Field(description="Hash over the rows and their simulated states.")
    partial: bool = Field(description="Whether it is a part of the suite.")
    tasks: str | None = Field(default=None, description="`--tasks` of the export.")
    limit: int | None = Field(default=None, description="`--limit` of the export.")

    @property
    def options(self) -> str:
        """Command-line options that choose the same clips."""
        name, prompt_motion = split_name(self.name)
        words = ["--suite", name]
        words += ["--tasks", self.tasks] if self.tasks is not None else []
        words += ["--limit", str(self.limit)] if self.limit is not None else []
        words += [PROMPT_MOTION_OPTION] if prompt_motion else []
        return shlex.join(words)


class ClipFiles(_Strict):
    """Files of one clip, relative to the folder of the manifest."""

    image: str = Field(description="PNG of the frame at the hand-over, time 0: the last one that is known.")
    video: str | None = Field(
        default=None, description="H.264 of the context frames; null where the image is the only one."
    )
    video_lossless: str | None = Field(default=None, description="FFV1 of the same frames, exact.")
    prompt: str = Field(description="Text of the prompt.")
    actions: str | None = Field(
        default=None, description="CSV of the actions, one row a frame; null for a clip without."
    )


class ClipAsked(_Strict):
    """One clip of the export, and what is wanted for it.

    What makes the clip is in the key of the export, see `ExportKey`. Documents of version 1 hold it themselves.
    """

    id: str = Field(description="Name of the clip's files, and of the video wanted, without its suffix.")
    task: str = Field(default="", description="Version 1: id of the task.")
    split: Split = Field(default="test", description="Version 1: test, ood or gap.")
    seed: int = Field(default=0, description="Version 1: seed of the clip.")
    change: str = Field(default="", description="Version 1: how the scene differs from the task.")
    state_hash: str = Field(default="", description="Version 1: hash of the simulated states.")
    prompt: str = Field(description="The prompt, as in the file.")
    answer: str = Field(description="File name wanted; .webm, .mkv, .mov, .gif, .avi or a folder of PNG will do too.")
    seconds: float = Field(gt=0, le=120, description="How long the continuation must be, in s after the hand-over.")
    frames: int = Field(gt=0, description="The same in frames at the export's rate.")
    files: ClipFiles
    sha256: dict[str, str] = Field(description="Hash of each of the files.")

    @property
    def row(self) -> Row:
        """The clip; without the key it is not known."""
        return Row(self.task, self.split, self.seed, self.change)


class Asked(_Strict):
    """`manifest.json`: all that was exported."""

    kind: Literal["physbench-conditioning"] = "physbench-conditioning"
    schema_version: int = Field(default=CONDITIONING_VERSION, description="Of this document.")
    physbench_version: str = Field(description="Of the program that wrote it.")
    suite: SuiteAsked
    width: Side = Field(description="px of the images and videos.")
    height: Side = Field(description="px of the images and videos.")
    fps: float = Field(ge=4, le=60, description="Frames a second of the context videos and of the actions.")
    look: str = Field(default=PLAIN, description="How the scenes are drawn: plain or natural.")
    view: str = Field(default=FAR, description="From where they are seen: far, near or moving.")
    context_frames: int = Field(ge=1, le=256, description="Frames that a model is shown; the last one is time 0.")
    action_names: tuple[str, ...] | None = Field(
        default=None, description="Of the numbers in `actions`, of a file of `--actions`; null: they are pushes."
    )
    clips: tuple[ClipAsked, ...]


class Answer(_Strict):
    """`answer.json`: what the author of the videos says about them, above a copy of the manifest."""

    kind: Literal["physbench-answer"] = "physbench-answer"
    schema_version: int = Field(default=CONDITIONING_VERSION, description="Of this document.")
    name: str | None = Field(
        default=None, max_length=100, description="Name of the model, for reports and the leaderboard."
    )
    fit: Fit | None = Field(
        default=None,
        description="How the picture was fitted into another shape: stretch, contain (bars) or cover (cropped).",
    )
    includes_context: bool | Annotated[int, Field(ge=0, le=1000)] | Literal["auto"] = Field(
        default="auto",
        description="Whether the videos begin with the conditioning frames; a number says with how many.",
    )
    fps: float | None = Field(
        default=None,
        gt=0,
        le=240,
        description="Frames a second, where the time stamps of the files are wrong.",
    )
    track: Literal["zero-shot", "trained"] = Field(default="zero-shot", description="trained: on the suite `train`.")
    training_clips: int | None = Field(
        default=None,
        ge=1,
        description="Clips of the suite `train` that a trained model has seen: see its score beyond memory.",
    )
    uses_actions: bool = Field(
        default=False,
        description="Whether the model was given the actions: what is pushed, and when, and where the camera goes.",
    )
    asked: Asked


def read_document(text: str | bytes, where: str) -> Answer:
    """Check an answer, or the manifest of an export, which is read as an answer without statements.

    Raises UsageError naming the file and the field.
    """
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not valid JSON ({error}).") from None
    if not isinstance(document, dict) or document.get("kind") not in ("physbench-answer", "physbench-conditioning"):
        raise UsageError(f"{where} is neither the {MANIFEST} nor the {ANSWER} of `physbench data export`.")
    for part in (document, document.get("asked")):
        version = part.get("schema_version") if isinstance(part, dict) else None
        if isinstance(version, int) and version > CONDITIONING_VERSION:
            raise UsageError(
                f"{where} has schema version {version}, this program reads up to {CONDITIONING_VERSION}: "
                "update physbench."
            )
    try:
        if document["kind"] == "physbench-conditioning":
            return Answer(asked=Asked.model_validate(document))
        return Answer.model_validate(document)
    except ValidationError as error:
        raise UsageError(f"{where}: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """The first thing wrong with a document, in words."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field}: {first['msg'][:1].lower()}{first['msg'][1:]}, got {first['input']!r:.60}."


def read_file(path: Path) -> Answer:
    """The same from a file."""
    try:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise UsageError(f"{path} is larger than {MAX_DOCUMENT_BYTES >> 20} MB: it is no document of physbench.")
        return read_document(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None

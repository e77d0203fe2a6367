"""What manifest.json may hold: the types of all that is read from it. A program that writes more may do so."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt

Text = Annotated[str, Field(max_length=1 << 20)]
Side = Annotated[int, Field(ge=32, le=2048)]  # px, as a card may ask for


class _Part(BaseModel):
    """Unknown fields are kept: a newer program of the same schema version may have written them."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=(), strict=True)


class ManifestRow(_Part):
    """A clip of the run."""

    task: Text = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    split: Literal["train", "test", "ood"]
    seed: int
    change: Text = ""


class FreshSeeds(_Part):
    """Where seeds were drawn for the run."""

    salt: Text


class ManifestSuite(_Part):
    """The clips."""

    name: Text
    version: int
    hash: Text = ""
    local: bool = False
    partial: bool = False
    in_development: bool = False
    rows: list[ManifestRow]
    fresh: FreshSeeds | None = None


class ManifestCard(_Part):
    """The model's card, of frames or of states."""

    name: Text = ""
    image_size: tuple[Side, Side] = Field(strict=False)  # a JSON list
    fps: FiniteFloat = Field(ge=4, le=60)
    context_frames: PositiveInt
    max_horizon: PositiveInt | None = None
    track: Literal["zero-shot", "trained", "privileged"] = "zero-shot"
    answers: Text = "frames"
    look: Text = "plain"


class ManifestModel(_Part):
    """The model. Name and card are known once it was loaded."""

    target: Text
    name: Text | None = None
    sha256: Text | None = None
    reported_sha256: Text | None = None
    args: dict[str, Any] | None = None
    settings: dict[str, Text] = {}
    drawn_by: Text | None = None  # hash of what draws a look that is not the plain one
    card: ManifestCard | None = None


class ManifestOptions(_Part):
    """The settings that readers of a run look at."""

    suite: Text | None = None
    tasks: Text | None = None
    scorers: Text | None = None
    limit: int | None = None
    samples: PositiveInt = 1
    seed: int = 0
    dtype: Text = "float32"
    note: Text | None = None
    tags: list[Text] | None = None


class NamedFile(_Part):
    """A file of the user's with tasks or scorers."""

    path: Text
    sha256: Text
    imports: dict[str, Text] = {}


class NamedFiles(_Part):
    """The files of `--tasks` and `--scorers`."""

    tasks: list[NamedFile] = []
    scorers: list[NamedFile] = []


class NamedArchive(_Part):
    """The archive of `--clips`."""

    file: Text
    sha256: Text


class Event(_Part):
    """What happened to a batch."""

    part_size: PositiveInt | None = None


class Stopped(_Part):
    """How a run has ended before its suite did."""

    by: Literal["budget", "until", "now"]  # now: it has not ended, this is what there is
    asked: Text = ""
    clips: list[Text] = Field(min_length=1)
    hash: Text = ""  # of these clips, as a suite has one
    looks: PositiveInt | None = None
    of_looks: PositiveInt | None = None
    level: FiniteFloat | None = None
    skill: FiniteFloat | None = None
    interval: tuple[FiniteFloat, FiniteFloat] | None = Field(default=None, strict=False)  # a JSON list


class ManifestDocument(_Part):
    """manifest.json."""

    schema_version: PositiveInt
    physbench_version: Text = ""
    started: Text = ""
    suite: ManifestSuite
    model: ManifestModel
    files: NamedFiles | None = None
    options: ManifestOptions = ManifestOptions()
    seed: int = 0
    versions: dict[str, Text | None] | None = None
    foreign_code: Text | None = None
    own_laws: dict[str, dict[str, Any]] | None = None
    render_spec: Text = ""
    context: PositiveInt | None = None
    device: Text = ""
    batches: list[list[Text]] | None = None
    events: list[Event] | None = None
    regrouped: dict[str, PositiveInt] | None = None  # by rollout: clips together, where not those of its batch
    notes: list[Text] = []
    speed: dict[str, FiniteFloat | None] | None = None
    clips: NamedArchive | None = None  # of which they are, where --clips was given
    scored_with: dict[str, Text | None] | None = None  # versions, where other ones scored than rolled out
    stopped: Stopped | None = None
    contents: dict[str, Text] | None = None  # hashes of what a finished run consists of

"""manifest.json: everything that a run was decided by and what became of it; its types, its one reader and writer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ModelWrapValidatorHandler,
    PositiveInt,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from physbench.clips.clip import Row, Split
from physbench.clips.suite import FRESH, suite_label
from physbench.models.protocol import ModelCard
from physbench.result.document import Card
from physbench.support.errors import UsageError
from physbench.support.files import read_sealed_json, write_sealed_json
from physbench.support.run_folder import RunFolder, hash_of, require_run
from physbench.world.scene import RenderSpec

MANIFEST_VERSION = 1

Text = Annotated[str, Field(max_length=1 << 20)]
# As it was written: 15 stays 15, and 15.0 stays 15.0. A whole one beyond 64 bits is read as a float.
Number = Annotated[int, Field(ge=-(2**63), lt=2**63)] | FiniteFloat


class _Part(BaseModel):
    """Fields in the order in which they were stored, or set first; those of a newer program are kept."""

    model_config = ConfigDict(extra="allow", protected_namespaces=(), strict=True)
    _order: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        part = handler(data)
        if isinstance(data, Mapping):
            part._order = tuple(data)
        return part

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if not name.startswith("_"):
            kept = tuple(each for each in self._order if each != name)
            self._order = kept if value is None else self._order if name in self._order else (*kept, name)

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written = handler(self)
        return {name: written[name] for name in dict.fromkeys((*self._order, *written)) if name in written}


class _Item(BaseModel):
    """One of many: its fields stand in the order in which they are declared."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


class ManifestRow(_Item):
    """A clip of the run."""

    task: Text = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    split: Split
    seed: int
    change: Text = ""


class FreshSeeds(_Part):
    """Salt of the seeds that were drawn for the run."""

    salt: Text


class ManifestSuite(_Part):
    """The clips."""

    name: Text
    version: int
    in_development: bool = False
    hash: Text = ""
    local: bool = False
    partial: bool = False
    rows: list[ManifestRow]
    fresh: FreshSeeds | None = None
    pairs: int | None = None  # of films, on the suite that asks for surprise

    @property
    def label(self) -> str:
        """The suite with its version."""
        return suite_label(self.name, self.version, self.in_development)

    @property
    def is_fresh(self) -> bool:
        """True if the seeds of the run were drawn for it."""
        return self.name.startswith(FRESH)


class ManifestModel(_Part):
    """The model. Name and card are known once it was loaded."""

    target: Text
    sha256: Text | None = None
    args: dict[str, Any] | None = None
    files: dict[str, Text] = {}  # hashes of files and folders among the arguments
    name: Text | None = None
    card: Card | None = None
    device: Text | None = None
    dtype: Text | None = None
    reported_sha256: Text | None = None
    drawn_by: Text | None = None  # hash of what draws a look that is not the plain one
    settings: dict[str, Text] = {}


class ManifestOptions(_Part):
    """The settings of `run.options.Options` that readers of a run look at; the others are kept beside them."""

    suite: Text | None = None
    tasks: Text | None = None
    scorers: Text | None = None
    limit: int | None = None
    device: Text | None = None
    batch_size: int | None = None
    samples: PositiveInt = 1
    seed: int = 0
    dtype: Text = "float32"
    autocast: Text | None = None
    compile: bool = False
    chain: bool = True
    diagnosis: bool = True
    fresh_seeds: int | Text | None = None
    look: Text | None = None
    view: Text | None = None
    shard: Text | None = Field(default=None, pattern=r"^[0-9]{1,6}/[0-9]{1,6}$")
    prompt_motion: bool = False
    note: Text | None = None
    tags: list[Text] | None = None


class NamedFile(_Item):
    """A file of the user's with tasks, scorers, actions or prompts."""

    path: Text
    sha256: Text
    imports: dict[str, Text] = {}


class NamedFiles(_Item):
    """The files of `--tasks`, `--scorers`, `--actions` and `--prompts`."""

    tasks: list[NamedFile] = []
    scorers: list[NamedFile] = []
    actions: list[NamedFile] = []
    prompts: list[NamedFile] = []


class NamedArchive(_Part):
    """The archive of `--clips`."""

    file: Text
    sha256: Text
    drawn_by: Text | None = None


class Event(_Item):
    """Event in the course of a batch."""

    kind: Text = ""
    batch: int | None = None
    clips: list[Text] = []
    detail: Text = ""
    part_size: PositiveInt | None = None


class Stopped(_Part):
    """End of a run before that of its suite."""

    by: Literal["budget", "until", "now"]  # now: it has not ended, this is what there is
    asked: Text = ""
    clips: list[Text] = Field(min_length=1)
    hash: Text = ""  # of these clips, as a suite has one
    looks: PositiveInt | None = None
    of_looks: PositiveInt | None = None
    level: Number | None = None
    skill: Number | None = None
    interval: tuple[Number, Number] | None = Field(default=None, strict=False)  # a JSON list


class Manifest(_Part):
    """manifest.json: what was asked for, written before the first batch, and what became of it since."""

    schema_version: PositiveInt
    physbench_version: Text = ""
    suite: ManifestSuite
    model: ManifestModel
    files: NamedFiles = NamedFiles()
    options: ManifestOptions = ManifestOptions()
    clips: NamedArchive | None = None  # of which they are, where --clips was given
    seed: int = 0
    versions: dict[str, Text | None] = {}
    foreign_code: Text | None = None  # of scorers that do not come with physbench: their readings, and no skill
    own_laws: dict[str, dict[str, Any]] = {}  # what a sentence may name as broken of these
    started: Text = ""
    settings_file: dict[str, Any] | None = None
    render_spec: Text = ""
    context: PositiveInt | None = None
    device: Text = ""
    batches: list[list[Text]] | None = None  # None before they are planned
    batch: PositiveInt | None = None  # on the suite that asks for surprise: films, or windows, at a time
    events: list[Event] = []
    notes: list[Text] = []
    speed: dict[str, Number | None] = {}  # times of stages, s, over all sessions; memory
    states: dict[str, Text] = {}  # by clip, of the clips that the model was rolled out on
    regrouped: dict[str, PositiveInt] = {}  # by rollout: clips together, where not those of its batch
    scored_with: dict[str, Text | None] | None = None  # versions, where other ones scored than rolled out
    untrained: Text | None = None  # why there is no untrained copy
    stopped: Stopped | None = None
    contents: dict[str, Text] | None = None  # hashes of what a finished run consists of

    @property
    def card(self) -> ModelCard:
        """The model's card. Raises UsageError where the model was not loaded yet."""
        if self.model.card is None:
            raise UsageError("manifest.json: model.card: the model was not loaded yet. Go on with --resume.")
        return self.model.card

    @property
    def spec(self) -> RenderSpec:
        """Size, rate and look of the clips."""
        return self.card.spec

    @property
    def scored_context(self) -> int:
        """Number of context frames that count as seen by the model."""
        return self.context or self.card.context_frames

    @property
    def salt(self) -> str:
        """Secret of the generators of a run on fresh seeds; "" for any other run."""
        return self.suite.fresh.salt if self.suite.fresh else ""

    @property
    def requested_rows(self) -> tuple[Row, ...]:
        """The clips that the run was asked for, in the suite's order."""
        return tuple(Row(row.task, row.split, row.seed, row.change) for row in self.suite.rows)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The clips of the run; where it has ended early those that it was ended with."""
        known = None if self.stopped is None else set(self.stopped.clips)
        return tuple(row for row in self.requested_rows if known is None or row.id in known)

    def document(self) -> dict[str, Any]:
        """The fields that were set; of those that may be missing none is null."""
        document = self.model_dump(mode="json", exclude_unset=True)
        return {name: value for name, value in document.items() if value is not None or name == "foreign_code"}


def read_manifest(folder: RunFolder) -> Manifest:
    """The manifest of a run. Raises UsageError where the folder is none, or a newer physbench wrote it."""
    require_run(folder)
    try:
        document = read_sealed_json(folder.manifest, required=False)
        version = int(document["schema_version"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UsageError(f"{folder.manifest}: cannot be read ({error}). Run it again with --fresh.") from error
    if version > MANIFEST_VERSION:
        raise UsageError(
            f"{folder.manifest} has schema version {version}; this physbench reads up to {MANIFEST_VERSION}. "
            "Update physbench."
        )
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{folder.manifest}: {place}: {first['msg']}. Run it again with --fresh.") from error


def write_manifest(folder: RunFolder, manifest: Manifest) -> None:
    """Write manifest.json, which `read_manifest` reads."""
    write_sealed_json(folder.manifest, manifest.document())


def renew(folder: RunFolder, path: Path) -> None:
    """Note in the manifest of a finished run that one of its files was made again."""
    manifest, digest = read_manifest(folder), hash_of(path)
    if manifest.contents and digest is not None:
        manifest.contents = {**manifest.contents, path.relative_to(folder.path).as_posix(): digest}
        write_manifest(folder, manifest)

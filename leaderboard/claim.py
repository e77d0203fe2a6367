"""Claim of a submission on its run, read narrowly: only fields that decide figures, each in a range that is checked.

Nothing in a manifest from elsewhere is trusted. The suite is made here from its name, and the rows must be those of it.
Files with tasks that a manifest names are never opened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Len
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from physbench import __version__
from physbench.clips.clip import Row
from physbench.clips.conditioning import EXPORTED_ACTIONS
from physbench.clips.packed import PackedClips
from physbench.clips.suite import (
    EXPECTATION_SUITE,
    FRESH,
    GOLDEN_SUITES,
    OWN,
    PROMPT_MOTION_OPTION,
    Suite,
    find_suite,
    split_name,
)
from physbench.models.protocol import ModelCard, card_document, card_from, check_card_types
from physbench.result.manifest import MANIFEST_VERSION, Manifest
from physbench.run.manifest import manifest_suite
from physbench.support import plugins
from physbench.support.errors import ModelError, UsageError
from physbench.support.run_folder import RunFolder
from physbench.world.scene import PLAIN

MOST_TEXT = 4000  # characters
Text = Annotated[str, Len(0, MOST_TEXT)]
Number = Annotated[float, Ge(0), Le(1e12)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class ClaimedRow(_Part):
    """A clip."""

    task: Text
    split: Text
    seed: Annotated[int, Ge(0), Le(2**53)]
    change: Text = ""


class ClaimedSuite(_Part):
    """The clips that were run."""

    name: Text
    version: Annotated[int, Ge(1), Le(10**6)]
    hash: Text
    in_development: bool = False
    local: bool = False
    rows: list[ClaimedRow]


class ClaimedModel(_Part):
    """The model that was run."""

    name: Text
    target: Text
    sha256: Text | None = None
    args: dict[str, str] = {}
    settings: dict[str, Any] = {}
    card: dict[str, Any]


class ClaimedOptions(_Part):
    """The settings that decide which rows there are, and what the model computes with."""

    samples: Annotated[int, Ge(1), Le(64)] = 1
    tasks: Text | None = None
    limit: Annotated[int, Ge(1), Le(10**6)] | None = None
    actions: Text | None = None
    prompts: Text | None = None
    dtype: Literal["float32", "float16", "bfloat16", "float64"] = "float32"
    autocast: Literal["float16", "bfloat16"] | None = None
    compile: bool = False


class ClaimedArchive(_Part):
    """The archive that the clips of the run came from."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]  # of its index


class ClaimedEnd(_Part):
    """That the run has ended before its suite did."""

    clips: list[Text]


class ClaimedManifest(_Part):
    """The fields of manifest.json that decide figures."""

    schema_version: Annotated[int, Ge(1), Le(MANIFEST_VERSION)]
    physbench_version: Text = ""
    suite: ClaimedSuite
    model: ClaimedModel
    options: ClaimedOptions = ClaimedOptions()
    context: Annotated[int, Ge(1), Le(10**6)]
    seed: Annotated[int, Ge(0), Le(2**63)] = 0
    started: Text = ""
    device: Text = ""
    versions: dict[str, Text | None] = {}
    speed: dict[str, Number | None] = {}
    clips: ClaimedArchive | None = None
    stopped: ClaimedEnd | None = None


@dataclass(frozen=True)
class Claim:
    """Manifest and card that a submission claims, with the board's archive of clips."""

    manifest: ClaimedManifest
    card: ModelCard
    archive: PackedClips | None = None  # of the board, instead of the clips that its machine makes

    @property
    def archive_hash(self) -> str:
        """SHA-256 of the archive that its pictures came from; "" of the plain look, which every machine draws alike."""
        named = self.manifest.clips
        return "" if named is None or self.card.look == PLAIN else named.sha256

    @property
    def archive_path(self) -> Path | None:
        """Path of the board's archive, for `board_clips`."""
        return None if self.archive is None else self.archive.path

    @property
    def samples(self) -> int:
        return self.manifest.options.samples

    @cached_property
    def suite(self) -> Suite:
        """The clips that the suite of this name has here. Raises UsageError where there is no such suite."""
        named, options = self.manifest.suite, self.manifest.options
        if named.name.startswith(FRESH):
            raise UsageError(f"the run is on fresh seeds ({named.name}), which nobody else can be compared on")
        if named.name.startswith(OWN) or plugins.names_files(options.tasks or ""):
            raise UsageError("the run has tasks that do not come with physbench")
        for name in ("actions", "prompts"):
            if getattr(options, name) is not None:
                raise UsageError(f"the model was given {name} of a file of its own (--{name}), which no board ranks")
        if EXPORTED_ACTIONS in self.manifest.model.settings:
            raise UsageError(
                "the videos answer an export with actions of a file of its own (data export --actions), which no board "
                "ranks"
            )
        if self.manifest.stopped is not None:
            clips, of = len(self.manifest.stopped.clips), len(named.rows)
            raise UsageError(f"the run is partial: it has ended with {clips} of {of} clips. Go on with eval --resume")
        if split_name(named.name)[1]:
            raise UsageError(
                f"the model was told in words how things move ({PROMPT_MOTION_OPTION}), a track that no board ranks"
            )
        if named.name not in GOLDEN_SUITES:
            raise UsageError(f"there is no suite named '{named.name}'")
        return find_suite(named.name, options.limit, options.tasks)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The clips that it says were run."""
        return tuple(Row(row.task, row.split, row.seed, row.change) for row in self.manifest.suite.rows)  # type: ignore[arg-type]

    def checked_manifest(self) -> Manifest:
        """A manifest of what was checked, and of nothing else."""
        manifest, suite, model = self.manifest, self.suite, self.manifest.model
        named = {"file": "", "sha256": self.archive_hash} if self.archive is None else self.archive.document()
        return Manifest.model_validate(
            {
                "schema_version": MANIFEST_VERSION,
                "physbench_version": __version__,
                "suite": manifest_suite(suite),
                "model": {
                    "target": model.target,
                    "name": self.card.name,
                    "sha256": model.sha256,
                    "args": dict(model.args),
                    "card": self.card,
                },
                "options": {"suite": suite.name, **manifest.options.model_dump()},
                **({"clips": named} if self.archive_hash else {}),
                "render_spec": str(self.card.spec),
                "context": self.card.scored_context,
                "seed": manifest.seed,
                "started": manifest.started,
                "device": manifest.device,
                "versions": dict(manifest.versions),
                "speed": dict(manifest.speed),
            }
        )


def read_claim(folder: RunFolder) -> Claim:
    """Read and check what a submission says of its run. Raises UsageError with what is wrong."""
    most_manifest = 16 << 20  # bytes; that of core has 0.1 MB
    try:
        if folder.manifest.stat().st_size > most_manifest:
            raise UsageError(f"manifest.json is larger than {most_manifest >> 20} MB")
        document = json.loads(folder.manifest.read_text(encoding="utf-8"))
        manifest = ClaimedManifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"manifest.json: {place or 'the document'}: {first['msg']}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"manifest.json cannot be read ({type(error).__name__}: {error})") from error
    if manifest.suite.name == EXPECTATION_SUITE:
        raise UsageError(
            f"a run of the suite {EXPECTATION_SUITE}, which no board ranks: boards rank by the axes. See such runs "
            "side by side with physbench compare RUN RUN"
        )
    card = _card(manifest.model.card)
    if card.name != manifest.model.name:
        raise UsageError(f"manifest.json: the model is called '{manifest.model.name}', on its card '{card.name}'")
    if card.scored_context != manifest.context:
        raise UsageError(f"manifest.json: {manifest.context} context frames, and {card.scored_context} by the card")
    # Refuse texts that a terminal or a page could be deceived with.
    model = manifest.model
    texts = [manifest.started, manifest.device, manifest.physbench_version, model.target, model.sha256 or ""]
    versions = (*manifest.versions, *(version or "" for version in manifest.versions.values()))
    for text in (*texts, *model.args, *model.args.values(), *versions):
        if not text.isprintable() or len(text) > MOST_TEXT:
            raise UsageError(f"manifest.json: expected at most {MOST_TEXT} printable characters, got {text[:80]!r}")
    return Claim(manifest, card)


def _card(document: Mapping[str, Any]) -> ModelCard:
    try:
        card = card_from(dict(document))
        check_card_types(card, "Model card")
        if not card.continues:
            raise UsageError("manifest.json: the model answers with its surprise at films, which no board ranks")
        if json.loads(json.dumps(card_document(card))) != json.loads(json.dumps(dict(document))):
            raise UsageError("manifest.json: the card has fields that a card does not have")
        return card
    except (ModelError, TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise UsageError(f"manifest.json: the card is none ({type(error).__name__}: {error})"[:MOST_TEXT]) from error

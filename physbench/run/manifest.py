"""The manifest of a run that begins, what of it a run must agree with that goes on, and the clips that it draws.

The manifest keeps what was drawn, so that a run on fresh seeds goes on and can be repeated with another model.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from physbench import __version__
from physbench.clips.packed import PackedClips
from physbench.clips.suite import (
    FRESH,
    PROMPT_MOTION_SUFFIX,
    Suite,
    find_suite,
    fresh_suite,
    spread,
    with_prompt_motion,
    without_prompt_motion,
)
from physbench.models.http.connection import TOKEN_ARGUMENT
from physbench.models.load_model import what_is_handed
from physbench.result.formats import counted
from physbench.result.manifest import (
    MANIFEST_VERSION,
    Manifest,
    ManifestModel,
    ManifestOptions,
    ManifestSuite,
    NamedArchive,
    NamedFile,
    NamedFiles,
    read_manifest,
)
from physbench.rollout.batches import check_prompts, prompt_documents, read_prompts
from physbench.rollout.device_names import device_kind
from physbench.run.options import Options
from physbench.support import plugins
from physbench.support.errors import UsageError
from physbench.support.files import file_sha256
from physbench.support.run_folder import RunFolder

MOST_READ = 1 << 30  # bytes of a folder given by --model-arg that are hashed
# Labels of settings that are compared in their own way.
OF_TASKS, OF_SCORERS = "The content of the files of --tasks", "The content of the files of --scorers"
OF_ACTIONS, OF_PROMPTS = "The content of the file of --actions", "The content of the file of --prompts"
DEVICE = "--device"


def file_hashes(model_args: Mapping[str, str]) -> dict[str, str]:
    """Hash of each file and folder that is handed to a factory: a model's weights are part of the model."""
    hashes = {}
    for key, value in model_args.items():
        if key == TOKEN_ARGUMENT:
            continue  # a secret, and no part of the model
        with contextlib.suppress(OSError, RuntimeError):  # a text may be longer than a name can be, a home unknown
            path = Path(value).expanduser()
            if path.is_file():
                hashes[key] = file_sha256(path)[:16]
            elif value and path.is_dir() and any(path.iterdir()):
                hashes[key] = _folder_hash(path)
    return hashes


def _folder_hash(folder: Path) -> str:
    """Hash of the names in a folder and of what they hold; of large files, and of very many, size and time instead."""
    digest, read, number = hashlib.sha256(), 0, 0
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            stat = path.stat()
            digest.update(f"{path.relative_to(folder).as_posix()}|{stat.st_size}|".encode())
            if read + stat.st_size <= MOST_READ:
                digest.update(bytes.fromhex(file_sha256(path)))
                read += stat.st_size
            else:
                digest.update(f"{stat.st_mtime_ns}|".encode())
            number += 1
            if number == 10_000:
                return digest.hexdigest()[:16]
    return digest.hexdigest()[:16]


def manifest_suite(suite: Suite, **more: Any) -> ManifestSuite:
    """Name of a suite, and its clips. more: further fields."""
    rows = [{name: value for name, value in dataclasses.asdict(row).items() if value != ""} for row in suite.rows]
    document = {
        "name": suite.name,
        "version": suite.version,
        **({"in_development": True} if suite.in_development else {}),
        "hash": suite.hash,
        "local": suite.local,
        "partial": suite.partial,
        "rows": rows,
    }
    return ManifestSuite.model_validate(document | more)


def requested_manifest(
    options: Options,
    suite: Suite,
    sha256: str | None,
    versions: Mapping[str, str | None],
    foreign_code: str | None = None,
    own_laws: Mapping[str, dict[str, Any]] | None = None,
    salt: str = "",
    clips: PackedClips | None = None,
) -> Manifest:
    """The part of the manifest that is known before the model is loaded: what a resumed run must agree with."""
    if clips:  # they were made with that one, which this machine may lack
        versions = {**versions, "pybullet": clips.pybullet}
    return Manifest(
        schema_version=MANIFEST_VERSION,
        physbench_version=__version__,
        # Where seeds were drawn for this run, also a secret that its generators depend on.
        suite=manifest_suite(suite, **({"fresh": {"salt": salt}} if salt else {})),
        model=ManifestModel(
            target=options.model,
            sha256=sha256,
            args=dict(options.model_arg),
            files=file_hashes(options.model_arg),
        ),
        files=NamedFiles.model_validate(
            {
                "tasks": plugins.manifest_documents(options.tasks),
                "scorers": plugins.manifest_documents(options.scorers),
                "actions": plugins.manifest_documents(options.actions),
                "prompts": prompt_documents(options.prompts),
            }
        ),
        options=ManifestOptions.model_validate(options.document()),
        clips=NamedArchive.model_validate(clips.document()) if clips else None,
        seed=options.seed,
        versions=dict(versions),
        foreign_code=foreign_code,
        own_laws=dict(own_laws or {}),
    )


# What decides rollouts and scores, with the names that a user knows. Speed, workers and time-outs do not.
_DECIDING: tuple[tuple[str, Callable[[Manifest], Any]], ...] = (
    ("MODEL", lambda of: of.model.target),
    ("The content of MODEL (sha256)", lambda of: of.model.sha256),
    ("--model-arg", lambda of: of.model.args),
    ("The content of the files given by --model-arg", lambda of: of.model.files),
    ("--fresh-seeds", lambda of: of.options.fresh_seeds),
    ("--prompt-motion", lambda of: of.options.prompt_motion),
    ("--suite", lambda of: of.suite.name),
    ("The version of the suite", lambda of: of.suite.version),
    (OF_TASKS, lambda of: of.files.tasks),
    (OF_SCORERS, lambda of: of.files.scorers),
    (OF_ACTIONS, lambda of: of.files.actions),
    (OF_PROMPTS, lambda of: of.files.prompts),
    ("The source code of scorers that are not physbench's", lambda of: of.foreign_code),
    ("The choice of clips (--tasks, --limit)", lambda of: of.suite.rows),
    ("The hash of the suite", lambda of: of.suite.hash),
    ("--scorers", lambda of: of.options.scorers),
    ("--look", lambda of: of.options.look),
    ("--view", lambda of: of.options.view),
    ("--samples", lambda of: of.options.samples),
    ("--seed", lambda of: of.options.seed),
    ("--dtype", lambda of: of.options.dtype),
    ("--autocast", lambda of: of.options.autocast),
    ("--compile", lambda of: of.options.compile),
    (DEVICE, lambda of: of.options.device),
    ("--batch-size", lambda of: of.options.batch_size),
    ("--chain", lambda of: of.options.chain),
    ("--shard", lambda of: of.options.shard),
    ("The archive of --clips (its index)", lambda of: of.clips and of.clips.sha256),
)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} clips"
    return f"'{value}'" if isinstance(value, str) else f"{value}"


def first_difference(stored: Manifest, requested: Manifest, words: str = "was {}, now it is {}") -> str | None:
    """Name the first deciding setting in which the run in the folder differs from the one asked for.

    words: what is said of the two values.
    """
    for label, read in _DECIDING:
        before, now = read(stored), read(requested)
        if before == now or (label == DEVICE and device_kind(str(before)) == device_kind(str(now))):
            continue
        if label in (OF_TASKS, OF_SCORERS, OF_ACTIONS, OF_PROMPTS):
            return f"{label} ({', '.join(_changed(before, now))}) has changed"
        return _difference_text(label, before, now, words)
    for name in {**stored.versions, **requested.versions}:
        before, now = stored.versions.get(name), requested.versions.get(name)
        if before != now:
            return _difference_text(
                "The source code of physbench" if name == "code" else f"The version of {name}", before, now, words
            )
    return None


def _difference_text(label: str, before: Any, now: Any, words: str) -> str:
    others = "other " if isinstance(before, list) and isinstance(now, list) and len(before) == len(now) else ""
    was, is_now = ("not given" if x is None and label.startswith("--") else _short(x) for x in (before, now))
    return f"{label} {words.format(was, others + is_now)}"


def _changed(before: Sequence[NamedFile], now: Sequence[NamedFile]) -> list[str]:
    """Paths of files, and of what they import, that only one of two lists holds."""
    files = set()
    for file in (*before, *now):
        if file in before and file in now:
            continue
        others = [other.imports for other in (*before, *now) if other.path == file.path]
        edited = {path for each in others for path in each if any(other.get(path) != each[path] for other in others)}
        files |= edited or {file.path}
    return sorted(files)


def refuse_other_settings(stored: Manifest, requested: Manifest, folder: Path) -> None:
    """Resume goes on with the same run only: scores of two settings never mix in one folder."""
    difference = first_difference(stored, requested)
    if difference:
        raise other_settings(folder, difference)


def refuse_other_scoring(stored: Manifest, requested: Manifest, folder: Path) -> None:
    """A run that was scored on another machine is scored to its end there: scores of two environments never mix."""
    scored, here = stored.scored_with or {}, requested.versions
    name = next((name for name in scored if name != "pybullet" and scored[name] != here.get(name)), None)
    if name is not None:
        raise other_settings(folder, f"It was scored with {name} {scored[name]}, here is {here.get(name)}")


class OtherSettingsError(UsageError):
    """The run in a folder cannot go on with what was asked. Nothing of it was changed."""


def other_settings(folder: Path, difference: str) -> OtherSettingsError:
    """The error that a run in a folder cannot go on with what was asked."""
    return OtherSettingsError(
        f"{folder} holds a run of other settings. {difference}.\n"
        "Ask for the same, start over with --fresh, or choose another --out."
    )


def requested_suite(options: Options, resumed: Path | None = None, live: bool = False) -> tuple[Suite, str]:
    """As `suite_without_motion_prompts`, with prompts that tell how things move where the options ask for it.

    Raises UsageError also where the sentences of `--prompts` are not those of its clips.
    """
    suite, salt = suite_without_motion_prompts(options, resumed, live)
    if options.prompts is not None:
        check_prompts(options.prompts, read_prompts(options.prompts), suite.rows, find_suite(options.suite).rows)
    return (with_prompt_motion(suite) if options.prompt_motion else suite), salt


def suite_without_motion_prompts(options: Options, resumed: Path | None, live: bool) -> tuple[Suite, str]:
    """The clips of a run, and the salt of its generators' seeds: "" for a suite as it is.

    Args:
        options: Suite, tasks, limit and fresh seeds are read.
        resumed: Folder of a run that goes on.
        live: Whether the model is an object in this process.

    Raises UsageError: there is no such suite or run, or fresh seeds make no sense for the model.
    """
    if options.fresh_seeds is None:
        return find_suite(options.suite, options.limit, options.tasks), ""
    if not live and what_is_handed(options.model) == "id":
        raise UsageError(
            "--fresh-seeds: videos answer the clips that were exported, and seeds drawn now are others. Leave it out."
        )
    whole = find_suite(options.suite, None, options.tasks)
    if resumed is not None and RunFolder(resumed).manifest.is_file():
        manifest = read_manifest(RunFolder(resumed))
        if manifest.salt:  # otherwise the comparison of manifests says what differs
            _refuse_other_choice(options, whole, manifest, resumed)
            return _as_drawn(whole, manifest), manifest.salt
    if isinstance(options.fresh_seeds, str):
        return _repeated(options, whole, RunFolder(Path(options.fresh_seeds)))
    return _limited(fresh_suite(whole, options.fresh_seeds), options.limit), secrets.token_hex(16)


def left_out(suite: Suite, options: Options) -> str:
    """Says that `--limit`, which counts clips in all, leaves out tasks; "" where every task has a clip."""
    if options.limit is None:
        return ""
    matching = len(find_suite(options.suite, None, options.tasks).tasks)
    without = matching - len(suite.tasks)
    if without <= 0:
        return ""
    return (
        f"--limit {options.limit} is {counted(options.limit, 'clip')} in all, not of each task: {without} of "
        f"{matching} tasks have none. With --limit {matching} each has one."
    )


def _refuse_other_choice(options: Options, whole: Suite, manifest: Manifest, folder: Path) -> None:
    """A run on fresh seeds goes on with the clips that it drew: another --tasks or --limit would choose others."""
    tasks, limit = manifest.options.tasks, manifest.options.limit
    differs = ""
    if options.tasks != tasks and find_suite(options.suite, None, tasks).tasks != whole.tasks:
        differs = f"--tasks was {tasks or 'not given'}, now it is {options.tasks or 'not given'}"
    elif options.limit != limit:
        differs = f"--limit was {limit or 'not given'}, now it is {options.limit or 'not given'}"
    if differs:
        raise other_settings(folder, differs)


def _repeated(options: Options, whole: Suite, other: RunFolder) -> tuple[Suite, str]:
    """The clips and the salt of another run on fresh seeds."""
    manifest = read_manifest(other)
    drawn = manifest.suite
    if not manifest.salt:
        raise UsageError(
            f"--fresh-seeds: {other.path} is a run of {drawn.name}, not one on fresh seeds. Say how many of each "
            "task are to be drawn, such as --fresh-seeds 4."
        )
    suite = _as_drawn(whole, manifest)
    name = drawn.name.removesuffix(PROMPT_MOTION_SUFFIX)
    if (suite.name, suite.version) != (name, drawn.version) or not set(suite.tasks) <= set(whole.tasks):
        raise UsageError(
            f"--fresh-seeds: {other.path} holds clips of {drawn.label}, and {whole.label} was asked for. "
            "Give the --suite and --tasks of that run."
        )
    return _limited(suite, options.limit), manifest.salt


def _as_drawn(whole: Suite, manifest: Manifest) -> Suite:
    return replace(whole, name=f"{FRESH}{whole.name}", rows=without_prompt_motion(manifest.rows), golden={})


def _limited(suite: Suite, limit: int | None) -> Suite:
    return suite if limit is None else replace(suite, rows=spread(suite.rows, limit), partial=True)

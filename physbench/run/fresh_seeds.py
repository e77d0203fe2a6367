"""Which clips a run is asked for: those of a suite, or with --fresh-seeds others that are drawn when it begins.

The manifest keeps what was drawn, so that a run on fresh seeds goes on and can be repeated with another model.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

from physbench.adapters.load_model import what_is_handed
from physbench.clips.suite import FRESH, Suite, find_suite, fresh_suite, spread
from physbench.clips.told_suite import TOLD_SUFFIX, told_suite, untold_rows
from physbench.errors import UsageError
from physbench.results.number_format import counted, manifest_suite
from physbench.results.read_run import read_manifest, rows_of
from physbench.run.options import Options
from physbench.run.run_manifest import other_settings
from physbench.storage.run_folder import RunFolder

RUN_SALT_BYTES = 16


def asked_suite(options: Options, resumed: Path | None = None, live: bool = False) -> tuple[Suite, str]:
    """As `untold_suite`, with prompts that tell how things move where the options ask for it."""
    suite, salt = untold_suite(options, resumed, live)
    return (told_suite(suite) if options.prompt_motion else suite), salt


def untold_suite(options: Options, resumed: Path | None, live: bool) -> tuple[Suite, str]:
    """The clips of a run, and the salt of its generators' seeds: "" for a suite as it is.

    Args:
        options: Suite, tasks, limit and fresh seeds are read.
        resumed: Folder of a run that goes on.
        live: Whether the model is an object in this process.

    Raises:
        UsageError: There is no such suite or run, or fresh seeds make no sense for the model.
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
        if drawn_salt(manifest):  # otherwise the comparison of manifests says what differs
            _refuse_other_choice(options, whole, manifest, resumed)
            return _as_drawn(whole, manifest), drawn_salt(manifest)
    if isinstance(options.fresh_seeds, str):
        return _repeated(options, whole, RunFolder(Path(options.fresh_seeds)))
    return _limited(fresh_suite(whole, options.fresh_seeds), options.limit), secrets.token_hex(RUN_SALT_BYTES)


def left_out(suite: Suite, options: Options) -> str:
    """Says that `--limit`, which counts clips in all, leaves out tasks; "" where every task has a clip."""
    if options.limit is None:
        return ""
    asked = len(find_suite(options.suite, None, options.tasks).tasks)
    without = asked - len(suite.tasks)
    if without <= 0:
        return ""
    return (
        f"--limit {options.limit} is {counted(options.limit, 'clip')} in all, not of each task: {without} of {asked} "
        f"tasks have none. With --limit {asked} each has one."
    )


def _refuse_other_choice(options: Options, whole: Suite, manifest: dict[str, Any], folder: Path) -> None:
    """A run on fresh seeds goes on with the clips that it drew: another --tasks or --limit would choose others."""
    stored = manifest.get("options", {})
    tasks, limit = stored.get("tasks"), stored.get("limit")
    differs = ""
    if options.tasks != tasks and find_suite(options.suite, None, tasks).tasks != whole.tasks:
        differs = f"--tasks was {tasks or 'not given'}, now it is {options.tasks or 'not given'}"
    elif options.limit != limit:
        differs = f"--limit was {limit or 'not given'}, now it is {options.limit or 'not given'}"
    if differs:
        raise other_settings(folder, differs)


def drawn_salt(manifest: dict[str, Any]) -> str:
    """The salt of a run on fresh seeds; "" for any other run."""
    return str((manifest["suite"].get("fresh") or {}).get("salt", ""))


def _repeated(options: Options, whole: Suite, other: RunFolder) -> tuple[Suite, str]:
    """The clips and the salt of another run on fresh seeds."""
    manifest = read_manifest(other)
    drawn = manifest["suite"]
    if not drawn_salt(manifest):
        raise UsageError(
            f"--fresh-seeds: {other.path} is a run of {drawn['name']}, not one on fresh seeds. Say how many of each "
            "task are to be drawn, such as --fresh-seeds 4."
        )
    suite = _as_drawn(whole, manifest)
    name = drawn["name"].removesuffix(TOLD_SUFFIX)
    if (suite.name, suite.version) != (name, drawn["version"]) or not set(suite.tasks) <= set(whole.tasks):
        raise UsageError(
            f"--fresh-seeds: {other.path} holds clips of {manifest_suite(manifest)}, and {whole.label} was asked for. "
            "Give the --suite and --tasks of that run."
        )
    return _limited(suite, options.limit), drawn_salt(manifest)


def _as_drawn(whole: Suite, manifest: dict[str, Any]) -> Suite:
    return replace(whole, name=f"{FRESH}{whole.name}", rows=untold_rows(rows_of(manifest)), golden={})


def _limited(suite: Suite, limit: int | None) -> Suite:
    return suite if limit is None else replace(suite, rows=spread(suite.rows, limit), partial=True)

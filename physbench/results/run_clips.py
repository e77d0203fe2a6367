"""Where the clips of a run come from: the store on this machine, or the archive that was given with `--clips`.

Those of fresh seeds lie in the run's own folder: another run on the same seeds neither finds nor disturbs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from physbench.clips.clip_archive import kept_archive
from physbench.clips.packed_clips import PackedClips
from physbench.clips.store import ClipStore
from physbench.errors import UsageError
from physbench.results.read_run import read_manifest
from physbench.storage.remote_place import is_url
from physbench.storage.run_folder import RunFolder

ClipSource = ClipStore | PackedClips


def clips_of(folder: RunFolder, manifest: Mapping[str, Any]) -> ClipSource:
    """The clips that a run was rolled out on.

    Raises:
        UsageError: They are those of an archive that is not where it was, or is another one.
    """
    named = manifest.get("clips")
    if not named:
        return ClipStore(folder.clips if manifest["suite"].get("fresh") else None)
    packed = kept_archive(named["file"], named["sha256"])
    if packed is None:
        where, place = ("in the cache", "URL") if is_url(named["file"]) else ("there", "FILE")
        raise UsageError(
            f"The run was rolled out on the clips of {named['file']}, which is not {where}. Say where it is now: "
            f"physbench score RUN --clips {place}"
        )
    refuse_other_archive(packed, named)
    return packed


def refuse_other_archive(packed: PackedClips, named: Mapping[str, Any]) -> None:
    """Raise UsageError where an archive is not the one that a manifest names under `clips`."""
    if packed.sha256 != named["sha256"]:
        raise UsageError(
            f"--clips: {packed.name} is not the archive that the run was rolled out on ({Path(named['file']).name}, "
            f"index {named['sha256'][:12]}): its index is {packed.sha256[:12]}. Give that one."
        )


def clips_of_folder(folder: RunFolder) -> ClipSource:
    """As `clips_of`, of the manifest in a folder; where it has none, the clips in it, or else the store."""
    if folder.manifest.is_file():
        return clips_of(folder, read_manifest(folder))
    return ClipStore(folder.clips if folder.clips.is_dir() else None)

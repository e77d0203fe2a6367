"""The layout of a run folder, and the hashes of what a finished run consists of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from physbench.support.errors import UsageError
from physbench.support.files import file_sha256


@dataclass(frozen=True)
class RunFolder:
    """One evaluation on disk."""

    path: Path

    @property
    def manifest(self) -> Path:
        """Suite and its hash, model card and sha256, versions, device, seeds, options, batch plan."""
        return self.path / "manifest.json"

    @property
    def scores(self) -> Path:
        """One row per (clip, sample, reading), see ScoreRow."""
        return self.path / "scores.parquet"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def diagnosis(self) -> Path:
        """Other laws that would explain the motion, by family; not written with `--no-diagnosis`."""
        return self.path / "diagnosis.json"

    @property
    def report(self) -> Path:
        return self.path / "report" / "index.html"

    def rollout(self, clip_id: str, sample: int = 0) -> Path:
        """Lossless video of a rollout's predicted frames."""
        return self.path / "rollouts" / f"{clip_id}.{sample}.mkv"

    def states(self, clip_id: str, sample: int = 0) -> Path:
        """Predicted states of a rollout, instead of a video, of a model that answers with states."""
        return self.path / "rollouts" / f"{clip_id}.{sample}.npz"

    def tracks(self, clip_id: str, sample: int = 0) -> Path:
        return self.path / "tracks" / f"{clip_id}.{sample}.npz"

    def trace(self, clip_id: str, sample: int = 0) -> Path:
        """Lawful segments and breaks; only where a scorer shadowed the clip."""
        return self.path / "traces" / f"{clip_id}.{sample}.npz"

    def part(self, clip_id: str, sample: int = 0) -> Path:
        """Score rows of one sample of one clip, written when it is done: what --resume starts from."""
        return self.path / "parts" / f"{clip_id}.{sample}.json"

    def together(self, clip_id: str) -> Path:
        """Score rows that all samples of a clip have together; only where there are several."""
        return self.path / "parts" / f"{clip_id}.samples.json"

    def pair(self, clip_id: str, sample: int = 0) -> Path:
        """Score rows of a clip with a change, read beside the clip that it is a change of."""
        return self.path / "pairs" / f"{clip_id}.{sample}.json"

    @property
    def clips(self) -> Path:
        """Store of the clips of a run on fresh seeds, which no other run reads; only once its model has ended."""
        return self.path / "clips"

    def reference(self, name: str) -> RunFolder:
        """Scores and tracks of a reference (truth, freeze, constant-velocity) on the same clips."""
        return RunFolder(self.path / "references" / name)


def require_run(folder: RunFolder) -> None:
    """Raise UsageError where this is no folder of a run, which holds a manifest."""
    if not folder.path.is_dir():
        what = "it is a file" if folder.path.exists() else "there is no such folder"
        raise UsageError(f"{folder.path}: {what}. Expected the folder of a run (--out of eval).")
    if not folder.manifest.is_file():
        raise UsageError(
            f"{folder.path}: is not a run: it holds no manifest.json. Expected the --out folder of eval or rollout."
        )


# The hashes of what a finished run consists of, which stand in its manifest under `contents`.
#
# Of a file it is its SHA-256, as `sha256sum FILE` prints it. Of a folder it is that of the lines which
# `cd FOLDER && LC_ALL=C sha256sum *` prints.


def contents_of(folder: RunFolder) -> dict[str, str]:
    """Hash by path of all files and folders of a run that are there, but for the manifest."""
    references = sorted(path.name for path in (folder.path / "references").glob("*") if path.is_dir())
    places = ("", *(f"references/{name}/" for name in references))
    run_files = ("scores.parquet", "result.json", "diagnosis.json", "report/index.html")
    run_folders = ("parts", "pairs", "tracks", "traces", "rollouts")
    names = [f"{place}{name}" for place in places for name in (*run_files, *run_folders)]
    return {name: digest for name in names if (digest := hash_of(folder.path / name)) is not None}


def hash_of(path: Path) -> str | None:
    """Hash of a file, or of the files in a folder without hidden ones; None where there is nothing."""
    if path.is_file():
        return file_sha256(path)
    if not path.is_dir():
        return None
    names = sorted(item.name for item in path.iterdir() if not item.name.startswith(".") and item.is_file())
    whole = hashlib.sha256()
    for name in names:
        whole.update(f"{hash_of(path / name)}  {name}\n".encode())
    return whole.hexdigest() if names else None


def other_contents(folder: RunFolder, known: Mapping[str, str] | None) -> list[str]:
    """Paths of what is not as it was when the run was finished: changed, lost or added. None is left out.

    known: `contents` of the manifest; None of an unfinished run, of which nothing is said here.
    """
    if not known:
        return []
    present = contents_of(folder)
    return sorted(name for name in {*known, *present} if known.get(name) != present.get(name))


def is_other(folder: RunFolder, known: Mapping[str, str] | None, path: Path) -> bool:
    """True if one file is not the one that was there when the run was finished; known: as of `other_contents`."""
    return known is not None and bool(known) and known.get(path.relative_to(folder.path).as_posix()) != hash_of(path)

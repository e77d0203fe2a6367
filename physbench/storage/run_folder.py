"""The layout of a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
        """Which other laws would explain the motion, by family; not where `--no-diagnosis` was asked for."""
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

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from loaded_models import load
from tiny_pipelines import TinyPipelines

from physbench.clips.clip import Clip, Row
from physbench.clips.conditioning import Answer, Asked
from physbench.clips.export import export
from physbench.clips.generate import make_clip
from physbench.clips.suite import Suite
from physbench.models.videos.adapter import open_target
from physbench.models.videos.model import RecordedVideos
from physbench.world.scene import RenderSpec

__all__ = ["load"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Tiny random pipelines of diffusers; see `TinyPipelines`."""
    return TinyPipelines(tmp_path_factory.mktemp("pipelines"))


@pytest.fixture
def code(tmp_path):
    """Write a Python file with `body` behind the usual imports and return its path."""

    def write(body: str, name: str = "my_model.py"):
        path = tmp_path / name
        head = "import torch\nfrom physbench import ModelCard\ncard = ModelCard('mine', (64, 64), 15, 4)\n"
        path.write_text(head + body)
        return path

    return write


@cache
def made(row: Row, spec: RenderSpec) -> Clip:
    """A clip, made once."""
    return make_clip(row, spec)


@dataclass
class Answered:
    """A small export, the true clips behind it, and a folder to answer it in."""

    asked: Asked
    clips: dict[str, Clip]
    folder: Path

    @property
    def ids(self) -> list[str]:
        return [clip.id for clip in self.asked.clips]

    def made(self, row: Row, spec: RenderSpec) -> Clip:
        return made(row, spec)

    def truth(self, clip_id: str, context: bool = False) -> np.ndarray:
        """The true future (T, H, W, 3), behind the conditioning frames if they are to be there."""
        clip = self.clips[clip_id]
        return clip.frames[clip.handover + 1 - (self.asked.context_frames if context else 0) :]

    def say(self, **said) -> None:
        document = Answer(asked=self.asked, **said).model_dump(mode="json")
        (self.folder / "answer.json").write_text(json.dumps(document))

    def open(self, **model_args) -> RecordedVideos:
        """The videos as a model."""
        return RecordedVideos(*open_target(f"videos:{self.folder}", model_args))

    def play(self, clip_id: str, sample: int = 0, **model_args) -> np.ndarray:
        """What is scored of a clip (T, h, w, 3), shown the context at the rate and size that are scored."""
        model = self.open(**model_args)
        card = model.card
        shown = made(self.clips[clip_id].row, card.spec)
        frames = model.play((clip_id, sample), context=shown.context(card.context_frames), horizon=shown.horizon)
        return np.stack(list(frames))


ROWS = (Row("falling/projectile-v1", "test", 0), Row("collisions/head-on-v1", "test", 1))


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """(asked, clips): two clips of 64 px, 15 frames/s and 4 context frames, as version 1 named them."""
    suite = Suite("smoke", 1, ROWS, partial=True)
    spec = RenderSpec(64, 64, 15.0)
    asked = export(suite, spec, 4, tmp_path_factory.mktemp("export") / "cond")
    clips = {clip.row: clip.model_copy(update={"id": clip.row.id}) for clip in asked.clips}
    asked = asked.model_copy(update={"clips": tuple(clips[row] for row in ROWS), "schema_version": 1})
    return asked, {row.id: made(row, spec) for row in ROWS}


@pytest.fixture
def answered(exported, tmp_path):
    """An empty folder that answers the small export."""
    folder = tmp_path / "answers"
    folder.mkdir()
    answer = Answered(*exported, folder)
    answer.say(includes_context=False)
    return answer

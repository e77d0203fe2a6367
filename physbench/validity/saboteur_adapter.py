"""`saboteur:NAME` as a model: `physbench eval saboteur:teleport:0.25` scores a violation, a lawful alternative or
a gaming baseline.

It is privileged, and its card and every table say so. Where a source has nothing to do it shows ground truth, and the
run notes for which tasks and why: a skill of 1 there says nothing of a scorer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from physbench.baselines.baseline_adapter import baseline_card
from physbench.models.adapter import Adapter
from physbench.models.protocol import Model, ModelCard
from physbench.support.errors import ModelError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from physbench.clips.clip import Clip

EXAMPLES = {
    "teleport:0.25": "ground truth with a violation at a severity, here a jump of a quarter diameter (privileged)",
    "stranger-far": "a lawful future that is not the recorded one (privileged)",
    "cheat-loop": "the context again and again; cheat-* are gaming baselines (privileged)",
}


class Saboteur:
    """A source of `sources.show` as a privileged model."""

    def __init__(self, source: str, card: ModelCard) -> None:
        self.source = source
        self.card = card
        self.notes: list[str] = []  # one for each task

    def rollout_clips(self, clips: Sequence[Clip], *, horizon: int, **given: object) -> Iterator[Tensor]:
        import numpy as np
        import torch

        from physbench.validity.sources import show
        from physbench.validity.violations import Inapplicable

        shown = []
        for clip in clips:
            try:
                frames = show(clip, self.card.context_frames, self.source).frames
            except Inapplicable as reason:
                frames = clip.future()
                self._note(clip, str(reason))
            shown.append(frames[:horizon])
        yield torch.from_numpy(np.stack(shown)).permute(0, 1, 4, 2, 3).float() / 255

    def _note(self, clip: Clip, reason: str) -> None:
        note = f"{self.source} has nothing to do on some or all clips of {clip.row.task}: they show ground truth."
        if not any(known.startswith(note) for known in self.notes):
            self.notes.append(f"{note} On {clip.id}: {reason}.")


class SaboteurAdapter(Adapter):
    """`saboteur:NAME`. The version of physbench decides their answers, and no hash."""

    name = "saboteur"
    summary = "saboteur:NAME  ground truth with one thing wrong, or another future (privileged); see scorers check"

    def _source(self, target: str) -> str:
        from physbench.validity.sources import LOW_RATE, NEAR_ALTERNATIVES, REFERENCES, WAIVED, find_sources

        text = target.partition(":")[2]
        if text.endswith(LOW_RATE):
            raise ModelError(f"saboteur:{text}: the rate is the model's. Use --model-arg fps=4.")
        if text == WAIVED:  # as a model it would have its own context, and its jump would count
            raise ModelError(f"{target}: the context is the model's. Use stranger-far with --model-arg context=1.")
        try:
            sources = (text,) if text in (*REFERENCES, *NEAR_ALTERNATIVES) else find_sources(text)
        except UsageError as error:
            raise ModelError(str(error)) from None
        if len(sources) != 1:
            raise ModelError(f"saboteur:{text} names {len(sources)} saboteurs: a model is one.")
        return sources[0]

    def check(self, target: str) -> None:
        self._source(target)

    def check_arguments(self, target: str, model_args: Mapping[str, str]) -> None:
        self._card(self._source(target), model_args)

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        return [(f"saboteur:{name}", self._card(name, {}), text) for name, text in EXAMPLES.items()]

    def _card(self, source: str, model_args: Mapping[str, str]) -> ModelCard:
        return replace(baseline_card(source, model_args), track="privileged")

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        source = self._source(target)
        return Saboteur(source, self._card(source, model_args))


adapter = SaboteurAdapter()

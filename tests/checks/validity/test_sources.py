"""Violations, strangers and cheats by name, and as models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from physbench.adapters.load import load_model
from physbench.adapters.protocol import PrivilegedModel
from physbench.checks.validity.cheats import CHEATS
from physbench.checks.validity.sources import all_sources, find_sources, kind, show
from physbench.clips.clip import Clip
from physbench.errors import ModelError, UsageError
from physbench.world.violations import REGISTRY

Clips = Callable[..., Clip]


def test_names_and_globs_select_sources() -> None:
    assert find_sources("teleport") == ("teleport:0.25",)
    assert find_sources("gravity:*") == tuple(act.id for act in REGISTRY["gravity"].acts)
    assert find_sources("teleport:0.3, hue+kick") == ("teleport:0.3", "hue:72+kick:0.5")
    assert find_sources("cheat-straight-*") == tuple(f"cheat-{n}" for n in CHEATS if n.startswith("straight-"))
    everything = find_sources("*")
    assert len(everything) == len(REGISTRY) + 1 + len(CHEATS) == len(all_sources(severities=False))
    assert len(set(map(kind, everything))) == 4
    with pytest.raises(UsageError, match=r"matches 'telport'.*teleport"):
        find_sources("telport")


def test_a_violation_shows_the_clip_up_to_its_event(clip_of: Clips) -> None:
    clip = clip_of("falling/projectile-v1")
    shown = show(clip, 8, "teleport:0.5")
    same = (shown.frames == clip.future()).all(axis=(1, 2, 3))
    lawful = clip.times[clip.handover + 1 :] <= shown.events[0].time + 1e-9
    assert same[lawful].all() and not same[~lawful].any()
    assert np.array_equal(show(clip, 8, "truth").frames, clip.future())


def test_a_saboteur_is_a_privileged_model(clip_of: Clips) -> None:
    clips = [clip_of("falling/projectile-v1"), clip_of("falling/projectile-v1", seed=1)]
    model = load_model("saboteur:hue:72", device=torch.device("cpu"), dtype=torch.float32)
    assert isinstance(model, PrivilegedModel) and model.card.track == "privileged"
    answer = torch.cat(list(model.rollout_clips(clips, horizon=clips[0].horizon, generators=[])), dim=1)
    for clip, frames in zip(clips, answer, strict=True):
        u8 = (frames.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
        assert np.array_equal(u8, show(clip, 8, "hue:72").frames)


def test_a_saboteur_shows_the_truth_where_it_has_nothing_to_do(clip_of: Clips) -> None:
    clip = clip_of("falling/projectile-v1")
    model = load_model("saboteur:momentum", device=torch.device("cpu"), dtype=torch.float32)
    assert isinstance(model, PrivilegedModel)
    (frames,) = model.rollout_clips([clip], horizon=4, generators=[])
    u8 = (frames[0].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    assert np.array_equal(u8, clip.future()[:4])


def test_a_model_is_one_saboteur() -> None:
    for target, words in (("saboteur:cheat-*", "a model is one"), ("saboteur:telport", "teleport")):
        with pytest.raises(ModelError, match=words):
            load_model(target, device=torch.device("cpu"), dtype=torch.float32)

"""Violations, lawful alternatives and gaming baselines by name, and as models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from physbench.clips.clip import Clip
from physbench.models.load_model import load_model
from physbench.models.protocol import PrivilegedModel
from physbench.support.errors import ModelError, UsageError
from physbench.validity.gaming_baselines import GAMING_BASELINES
from physbench.validity.lawful_alternatives import FRAME_SHIFTS, timed_frames
from physbench.validity.sources import (
    FAR_ALTERNATIVES,
    LASTING,
    LOW_RATE,
    all_sources,
    at_rate,
    find_sources,
    kind,
    sets_in,
    show,
)
from physbench.validity.violations import REGISTRY, Inapplicable

Clips = Callable[..., Clip]


def test_names_and_globs_select_sources() -> None:
    assert find_sources("teleport") == ("teleport:0.25",)
    assert find_sources("gravity:*") == tuple(act.id for act in REGISTRY["gravity"].acts)
    assert find_sources("teleport:0.3, hue+kick") == ("teleport:0.3", "hue:72+kick:0.5")
    assert find_sources("cheat-straight-*") == tuple(
        f"cheat-{n}" for n in GAMING_BASELINES if n.startswith("straight-")
    )
    everything = find_sources("*")
    assert (
        len(everything)
        == len(REGISTRY) + len(FRAME_SHIFTS) + len(LASTING) + 2 + len(GAMING_BASELINES)
        == len(all_sources(severities=False))
    )
    assert find_sources("gravity@4, *@4") == tuple(name + LOW_RATE for name in LASTING)
    assert find_sources("kick:0.3@4") == ("kick:0.3@4",)
    wanted = find_sources("bars")
    assert {"gravity:0.98", "kick:0.2", "stranger-far-waived", "cheat-loop", "gravity:0.9@4"} <= set(wanted)
    assert "blur:1" not in wanted and "gravity:1.1" not in wanted
    assert find_sources("late, rate:0.97, hold:*") == ("late:1", "rate:0.97", "hold:2", "hold:3", "hold:5")
    assert len(set(map(kind, everything))) == 5
    for text, words in (
        ("telport", r"matches 'telport'.*teleport"),
        ("", "Expected names"),
        (" ,", "Expected names"),
        ("hue+cheat-loop", "cheat-loop is none"),
        ("hue+hue", "twice"),
        ("fade:150", "from 0.1 to 100"),
        ("shrink:-5", "from 0.1 to 50 %/s"),
        ("late:1+tremble:0.05", "only violations go together.* and late is none: it shows frames of ground truth"),
        ("tremble+late", "late is none: it shows"),
        ("cheat-loop+kick", "cheat-loop is none"),
        ("late:0.5", "a whole number from 1 to 10"),
    ):
        with pytest.raises(UsageError, match=words):
            find_sources(text)


def test_a_violation_shows_the_clip_up_to_its_event(clip_of: Clips) -> None:
    clip = clip_of("falling/projectile-v1")
    shown = show(clip, 8, "teleport:0.5")
    same = (shown.frames == clip.future()).all(axis=(1, 2, 3))
    lawful = clip.times[clip.handover + 1 :] <= shown.events[0].time + 1e-9
    assert same[lawful].all() and not same[~lawful].any()
    assert np.array_equal(show(clip, 8, "truth").frames, clip.future())


@pytest.mark.parametrize("source", ["size:1", "hue:360", "colour-drift:0"])
def test_what_changes_no_pixel_has_nothing_to_do(clip_of: Clips, source: str) -> None:
    with pytest.raises(Inapplicable, match="no pixel"):
        show(clip_of("falling/projectile-v1"), 8, source)


@pytest.mark.slow
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
    (frames,) = model.rollout_clips([clip, clip], horizon=4, generators=[])
    (note,) = model.notes  # type: ignore[attr-defined]
    assert "falling/projectile-v1: they show ground truth" in note and "no two moving bodies" in note
    u8 = (frames[0].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    assert np.array_equal(u8, clip.future()[:4])


def test_a_alternative_whose_jump_is_waived_is_read_behind_one_frame(clip_of: Clips) -> None:
    clip = clip_of("falling/projectile-v1")
    jumped, waived = (show(clip, 8, name) for name in FAR_ALTERNATIVES)
    assert np.array_equal(jumped.frames, waived.frames) and (jumped.context, waived.context) == (None, 1)


def test_a_low_rate_keeps_the_time_of_the_context() -> None:
    assert at_rate("gravity:0.9@4", 15.0, 8) == (4.0, 2) and at_rate("gravity:0.9@4", 30.0, 30) == (4.0, 4)
    assert at_rate("gravity:0.9", 15.0, 8) == (15.0, 8)


def test_a_near_alternative_is_a_model_too() -> None:
    assert (
        load_model("saboteur:stranger-near", device=torch.device("cpu"), dtype=torch.float32).card.track == "privileged"
    )


def test_a_model_is_one_saboteur() -> None:
    for target, words in (
        ("saboteur:cheat-*", "a model is one"),
        ("saboteur:telport", "teleport"),
        ("saboteur:gravity@4", "fps=4"),
        ("saboteur:stranger-far-waived", "context=1"),
    ):
        with pytest.raises(ModelError, match=words):
            load_model(target, device=torch.device("cpu"), dtype=torch.float32)


def test_what_lasts_happens_at_no_moment() -> None:
    assert all(map(sets_in, ("kick:0.5", "vanish:1", "speed-gain:0.5@4", "hue:72+kick:0.5")))
    assert not any(map(sets_in, ("gravity:0.9", "gravity:0.9@4", "friction:0.5", "kick:0.5+gravity:0.9")))


def test_frames_at_wrong_times_are_those_of_the_true_world(clip_of: Clips) -> None:
    clip = clip_of("falling/projectile-v1")
    true = clip.frames[clip.handover :]  # from the hand-over on
    last = clip.horizon
    shown = {
        "late": [0, 1, 2],
        "early": [2, 3, 4],
        "hold:2": [1, 1, 3, 3, 5],
        "hold:3": [1, 2, 2, 4, 5, 5],
        "drop:3": [1, 2, 4, 5, 7],
        "rate:0.5": [None, 1, None, 2],
    }
    for source, frames in shown.items():
        found = timed_frames(clip, source)
        assert len(found) == last
        assert all(n is None or np.array_equal(found[k], true[n]) for k, n in enumerate(frames)), source
    middle = 16
    assert np.array_equal(timed_frames(clip, "stall:2")[middle - 1 : middle + 2], true[[middle] * 3])
    assert np.array_equal(timed_frames(clip, "skip:2")[middle - 1 : middle + 1], true[[middle, middle + 3]])
    assert np.abs(timed_frames(clip, "blend")[0] - (true[0] / 2 + true[1] / 2)).max() <= 0.5

"""dark: PyBullet against free fall and restitution in the dark, what is seen, and what a wrong light costs."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.clips.task import HALF_WINDOW
from physbench.models.protocol import ModelCard
from physbench.run.references import reference_rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.tasks.occlusion import DARK_CENTRE, UNSEEN_BOUNCE, Dark, bounce_times
from physbench.world.bodies import darkness_over
from physbench.world.bullet import simulate
from physbench.world.drawing import render
from physbench.world.scene import RenderSpec

CONTEXT = 8  # frames
TIMES = np.arange(-200, 401) / 100  # s


@pytest.mark.parametrize(("split", "seed"), [("test", 0), ("test", 1), ("ood", 0)])
def test_the_ball_bounces_on_in_the_dark(split: Split, seed: int) -> None:
    """Each bounce of the simulation is some 3 ms later than the law has it, as contacts are found in steps."""
    row = Row(Dark.id, split, seed)
    p, scene = make_params(row), make_scene(row)
    off, on = p["dark_at"], p["dark_at"] + p["dark_for"]
    found = simulate(scene, TIMES)
    bounces = [each for each in bounce_times(p, scene.horizon) if each < on]
    np.testing.assert_allclose([hit.time for hit in found.contacts][: len(bounces)], bounces, atol=0.01)
    assert any(off < bounce < on for bounce in bounces)
    assert min(abs(bounce - change) for bounce in bounces for change in (off, on)) >= UNSEEN_BOUNCE
    x, z = found.states[:, 0, 0], found.states[:, 0, 2]
    free = p["release"] < TIMES
    straight = p["velocity"] * (TIMES - p["release"]) - np.sign(p["velocity"]) * p["start"]
    np.testing.assert_allclose(x[free], straight[free], atol=2e-3)
    fall = math.sqrt(2 * p["gravity"] * p["start_height"])
    for number, (bounce, until) in enumerate(itertools.pairwise([*bounces, on]), start=1):
        flight = (bounce + 0.01 < TIMES) & (until - 0.01 > TIMES)
        since = TIMES[flight] - bounce
        height = fall * p["restitution"] ** number * since - p["gravity"] * since**2 / 2
        np.testing.assert_allclose(z[flight] - p["radius"], height, atol=0.04)
    assert max(np.abs(x).max(), np.abs(z - DARK_CENTRE).max()) + p["radius"] <= HALF_WINDOW, "it stays in the window"
    for name, change in (("post off", off), ("post on", on)):
        assert scene.bodies[scene.index(name)].position[0] == pytest.approx(np.interp(change, TIMES, x), abs=3e-3)


@pytest.mark.parametrize(("view", "height", "width"), [("far", 48, 96), ("near", 64, 64)])
def test_all_is_black_while_the_light_is_out_and_only_then(view: str, height: int, width: int) -> None:
    row = Row(Dark.id, "test", 1)
    p, clip = make_params(row), make_clip(row, RenderSpec(height, width, 10.0, "plain", view))
    dark = (clip.times >= p["dark_at"]) & (clip.times < p["dark_at"] + p["dark_for"])
    assert clip.frames[dark].max() == 0 and clip.frames[~dark].max(axis=(1, 2, 3)).min() > 100
    assert clip.visible_share()[dark, 0].max() == 0 and clip.visible_share()[~dark, 0].min() > 0.95
    assert clip.visible_area[dark, clip.scene.index("darkness")].min() == height * width
    np.testing.assert_array_equal(darkness_over(clip.scene, clip.states) >= 0, dark)


def qualities(clip: Clip, frames: np.ndarray) -> dict[str, float]:
    card = ModelCard("check", (clip.spec.height, clip.spec.width), clip.spec.fps, CONTEXT)
    rollout = replace(reference_rollout("truth", clip, card), frames=frames)
    found: dict[str, list[float]] = {}
    for row in score_clip(clip, rollout, CONTEXT, tuple(each for each in find_scorers() if each.headline))[0]:
        if row.quality is not None:
            found.setdefault(row.reading.split("/")[0], []).append(row.quality)
    return {axis: float(np.mean(values)) for axis, values in found.items()}


def test_a_wrong_light_and_a_forgotten_ball_are_told_from_truth() -> None:
    """The light stays on, stays out, or shows no ball when it is on again."""
    clip = make_clip(Row(Dark.id, "test", 0), render_spec(64, 10))
    truth, context = clip.future(), clip.handover + 1
    out = np.flatnonzero(truth.max(axis=(1, 2, 3)) == 0)

    def drawn(body: str, since: int) -> np.ndarray:
        states = clip.states.copy()
        states[context + since :, clip.scene.index(body), 0] = 50.0
        return render(clip.scene, clip.times, states, clip.spec).frames[context:]

    kept = truth.copy()
    kept[out[0] :] = 0
    assert min(qualities(clip, truth).values()) >= 0.98
    never, ever, forgot = (qualities(clip, f) for f in (drawn("darkness", 0), kept, drawn("ball", out[0])))
    assert never["permanence"] <= 0.1 <= never["consistency"]
    assert ever["permanence"] <= 0.1 and ever["consistency"] <= 0.4 and ever["drift"] <= 0.3
    assert forgot["permanence"] <= 0.1 and forgot["consistency"] <= 0.4 and forgot["drift"] <= 0.3


def test_a_motion_that_only_small_tolerances_find_is_lawful_at_large_ones() -> None:
    """At half a diameter the search for this bounce in the dark ends with a break."""
    clip = make_clip(Row(Dark.id, "test", 37), render_spec(64, 15))
    assert qualities(clip, clip.future())["consistency"] == pytest.approx(1, abs=0.005)


def test_a_clip_without_any_light_shows_no_ball() -> None:
    clip = make_clip(Row(Dark.id, "test", 0), render_spec(64, 10))
    states, darkness = clip.states.copy(), clip.scene.index("darkness")
    states[:, darkness] = states[np.argmax(darkness_over(clip.scene, states) >= 0), darkness]
    dark = replace(clip, states=states, frames=np.zeros_like(clip.frames))
    assert qualities(dark, dark.future())["permanence"] == 0


@pytest.mark.parametrize("grey", [0, 60, 255])
def test_something_grey_in_the_light_is_one_too_many(grey: int) -> None:
    clip = make_clip(Row(Dark.id, "test", 0), render_spec(64, 10))
    frames = clip.future().copy()
    across = np.arange(64) - 32.0
    disc = (across[:, None] + 20) ** 2 + across**2 <= 5**2  # up in the middle, where the ball does not come
    frames[:, disc] = grey
    assert qualities(clip, frames)["permanence"] <= 0.5

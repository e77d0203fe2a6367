"""Whether pictures betray a body that they do not show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Clip
from physbench.validity.task_checks import clip_protocol
from physbench.validity.task_checks.clip_protocol import VIEW, check_hidden, hidden_differences
from physbench.world.drawing import Rendered
from physbench.world.scene import PLAIN, RenderSpec
from physbench.world.styles.catalogue import draw
from physbench.world.styles.natural import frames
from physbench.world.styles.natural.mitsuba_scene import Layers

Clips = Callable[..., Clip]


@pytest.fixture
def even_light(monkeypatch: pytest.MonkeyPatch) -> None:
    """The natural look without path tracing: the same light everywhere, and the shadows of bodies in it."""

    def layers(stage: object, camera: object, spec: RenderSpec) -> Layers:
        white = np.full((spec.height, spec.width, 3), 0.5, dtype=np.float32)
        return Layers(white, white)

    monkeypatch.setattr(frames, "light_layers", layers)


@pytest.mark.parametrize("task", others_slow(["occlusion/screen-pass-v1", "occlusion/screen-lift-v1"], 1))
@pytest.mark.parametrize("look", [PLAIN, "natural"])
def test_no_picture_tells_of_a_hidden_body(clip_of: Clips, even_light: None, task: str, look: str) -> None:
    found = list(hidden_differences(clip_of(task), look))
    assert len(found) >= 2 and max(each.levels for each in found) == 0
    assert [finding.state for finding in check_hidden(clip_of(task), look)] == ["ok"]


def test_a_shadow_beside_the_screen_is_refused_with_its_moment(clip_of: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = clip_of("occlusion/screen-pass-v1")

    def with_shadow(*args: object) -> Rendered:
        drawn = draw(*args)  # type: ignore[arg-type]
        if args[0].bodies[clip.tracked[0]].drawn:  # type: ignore[attr-defined]
            drawn.frames[:, -4:, :4] -= int(VIEW.betraying_levels) + 1
        return drawn

    monkeypatch.setattr(clip_protocol, "draw", with_shadow)
    (finding,) = check_hidden(clip, PLAIN)
    assert finding.state == "failed" and "by 5 of 255 levels" in finding.text and finding.shot is not None


def test_shadows_fade_as_a_body_is_covered(clip_of: Clips, even_light: None) -> None:
    """The shadow beside the screen is there while the ball is seen, and less of it the less of the ball is."""
    clip = clip_of("occlusion/screen-lift-v1")
    body = clip.tracked[0]
    share = clip.visible_area[:, body] / clip.full_area[:, body]
    moments = [int(np.argmin(np.abs(share - wanted) + (clip.times < 0) * 9)) for wanted in (1.0, 0.5)]
    # Not the first moment at which it is hidden: the shutter has been open for a 60th of a second then
    moments.append(int(np.median(np.flatnonzero((share == 0) & (clip.times > 0)))))
    spec = RenderSpec(64, 64, 15.0, "natural")
    bodies = clip.scene.bodies
    shown = draw(clip.scene, clip.times[moments], clip.states[moments], spec).frames.astype(int)
    gone = replace(clip.scene, bodies=tuple(replace(b, drawn=b is not bodies[body]) for b in bodies))
    without = draw(gone, clip.times[moments], clip.states[moments], spec).frames.astype(int)
    grey = np.ptp(shown, axis=-1) < 12  # the ball itself has a hue
    shadow = (np.maximum(without - shown, 0).max(axis=-1) * grey).sum(axis=(1, 2))
    assert shadow[0] > shadow[1] > shadow[2] == 0

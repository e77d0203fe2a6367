"""How long bodies are shown, and must at least be shown, where the context does not tell their velocities.

A body that leaves the image at once has little to explain. Most futures that an image allows stay longer, so that a
prediction must show bodies for some minimum time. A body that even ground truth shows only for a moment is not judged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.dynamics.forward_model import ForwardModel
from physbench.dynamics.interventions import Intervention
from physbench.shadowing.context_information import open_velocities
from physbench.shadowing.hypothesis import FREE, Hypothesis
from physbench.shadowing.placed_bodies import from_tracks
from physbench.shadowing.segment_init import is_long_enough
from physbench.tracks.visibility import VISIBLE_SHARE
from physbench.world.camera import PLANE_AXES

Array = NDArray[np.float64]

PERCENTILE = 10.0  # of the visible times of other draws
REQUIRED_SHARE = 0.5  # of that percentile


def required_visibility(clip: Clip, problem: Hypothesis) -> float:
    """Frames x bodies that a prediction must at least show: half of the 10th percentile of what other draws show.

    Other draws start at the true positions with their own velocities. The result is 0 where there are none. Bodies
    that are not judged do not count.
    """
    seen, model = problem.seen, problem.forward
    if seen.sight is None:
        return 0.0
    axes = list(PLANE_AXES[clip.scene.camera.view])
    now = clip.states[clip.handover]
    predicted = np.flatnonzero(seen.times > 1e-9)
    first = int(predicted[0]) - 1
    begin = int(seen.steps[first])
    changes: list[Intervention] = [push for push in model.pushes if push.step > begin]
    for n, i in enumerate(model.index):
        drawn = open_velocities(clip, i)
        if not len(drawn):
            return 0.0
        numbers = np.concatenate([np.broadcast_to(now[i, :3][axes], drawn.shape), drawn], axis=-1)
        changes.append(Intervention(begin, n, "state", problem.state(n, FREE, numbers)))
    frames = slice(first + 1, len(seen.times))
    trajectory = problem.simulator.run(changes, int(seen.steps[-1]))
    shown = seen.sight.visible_share(trajectory.positions(seen.steps[frames]), frames) >= VISIBLE_SHARE
    return REQUIRED_SHARE * float(np.percentile((shown & seen.judged).sum(axis=(1, 2)), PERCENTILE))


def briefly_visible(clip: Clip, context: int, model: ForwardModel) -> tuple[int, ...]:
    """Bodies of a model that ground truth shows for less time than a segment needs, the context included.

    Only bodies whose velocity the context does not show. Tracks of ground truth decide, not those of the prediction.
    """
    from physbench.tracks.tracker import track

    truth = from_tracks(clip, track(clip, context, clip.frames[clip.window(context)]), model)
    known = truth.known & (truth.expected_visible | truth.given)
    unknown = truth.expected_visible.any(axis=0) & ~truth.tells_velocity
    return tuple(int(n) for n in np.flatnonzero(unknown) if not is_long_enough(truth.times[known[:, n]]))

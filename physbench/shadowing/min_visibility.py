"""How long bodies are shown, and must at least be, where the context does not tell how fast they are.

Whoever leaves the image at once has nothing to explain. Of what a picture allows most futures stay for longer. What
even ground truth shows for a moment only cannot be judged of anybody.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.dynamics.forward_model import ForwardModel
from physbench.dynamics.interventions import Intervention
from physbench.shadowing.context_information import cast, other_states
from physbench.shadowing.hypothesis import FREE, Hypothesis
from physbench.shadowing.placed_bodies import from_tracks
from physbench.shadowing.segment_init import lasts
from physbench.tracks.visibility import VISIBLE_SHARE
from physbench.world.camera import PLANE_AXES

Array = NDArray[np.float64]

PERCENTILE, HALF = 10.0, 0.5  # of the visible times of lawful futures, and the share of it that must be shown


def least_shown(clip: Clip, problem: Hypothesis) -> float:
    """Frames x bodies that a prediction must at least show: half of the 10th percentile of what other draws show.

    They start at the true places with the velocities of other draws of the task; 0 where there are none. Bodies that
    are not judged do not count.
    """
    seen, model = problem.seen, problem.forward
    if seen.sight is None:
        return 0.0
    axes = list(PLANE_AXES[clip.scene.camera.view])
    now = clip.states[clip.handover]
    behind = np.flatnonzero(seen.times > 1e-9)
    first = int(behind[0]) - 1
    begin = int(seen.steps[first])
    changes: list[Intervention] = [push for push in model.pushes if push.step > begin]
    for n, i in enumerate(model.index):
        drawn = other_states(clip.row.task, clip.row.split, cast(clip.scene), i)[:, 7:10][:, axes]
        if not len(drawn):
            return 0.0
        numbers = np.concatenate([np.broadcast_to(now[i, :3][axes], drawn.shape), drawn], axis=-1)
        changes.append(Intervention(begin, n, "state", problem.state(n, FREE, numbers)))
    frames = slice(first + 1, len(seen.times))
    way = problem.model.run(changes, int(seen.steps[-1]))
    shown = seen.sight.share(way.places(seen.steps[frames]), frames) >= VISIBLE_SHARE
    return HALF * float(np.percentile((shown & seen.judged).sum(axis=(1, 2)), PERCENTILE))


def brief(clip: Clip, context: int, model: ForwardModel) -> tuple[int, ...]:
    """Which bodies of a model ground truth shows, but for less than a segment needs, the context included.

    Of those alone whose speed the context does not show. Read off tracks of ground truth: its own would not count.
    """
    from physbench.tracks.tracker import track

    truth = from_tracks(clip, track(clip, context, clip.frames[clip.window(context)]), model)
    known = truth.known & (truth.owed | truth.given)
    unknown = truth.owed.any(axis=0) & ~truth.tells_speed
    return tuple(int(n) for n in np.flatnonzero(unknown) if not lasts(truth.times[known[:, n]]))

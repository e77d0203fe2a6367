"""Films of states: the same events as in pictures, as the states of bodies, for models that answer with states.

Windows are those of pictures that begin once nothing is held any more. Surprise is the mean distance of the predicted
places of moving bodies from the true ones, in diameters. Nothing is hidden in states: an event begins where they first
differ, behind a screen too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.state_card import PLACE, SPEED
from physbench.clips.clip import Clip, Row
from physbench.clips.store import clip_store
from physbench.errors import PhysbenchError
from physbench.expectation.clip_films import ClipFilms, nearest_film
from physbench.expectation.film_windows import WindowGrid, window_grid
from physbench.expectation.films import POSSIBLE, film_states
from physbench.world.scene import RenderSpec

Array = NDArray[np.float64]
StatePrediction = Callable[[Clip, WindowGrid, int], Array]  # film, windows, number of one -> states (ahead, K, 13)


def state_error(film: Clip, grid: WindowGrid, number: int, predicted: Array) -> float:
    """Mean distance in diameters of predicted states (ahead, K, 13) from those of a film, over its moving bodies."""
    start, tracked = int(grid.starts[number]), film.tracked
    moving = [k for k, body in enumerate(film.tracked_bodies) if body.role == "moving"]
    true = film.states[start + 1 : start + 1 + grid.ahead, list(tracked), PLACE]
    far = np.linalg.norm(predicted[..., PLACE] - true, axis=-1)  # (ahead, K) m
    diameters = np.maximum(film.diameters()[film.handover], 1e-9)
    return float((far / diameters)[:, moving].mean())


def frozen_state(film: Clip, grid: WindowGrid, number: int) -> Array:
    """The last state shown, repeated."""
    last = film.states[int(grid.starts[number]), list(film.tracked)]
    return np.repeat(last[None], grid.ahead, axis=0)


def straight_motion(film: Clip, grid: WindowGrid, number: int) -> Array:
    """Every body goes on with its velocity, through everything."""
    found = frozen_state(film, grid, number)
    seconds = np.arange(1, grid.ahead + 1) / film.spec.fps
    found[..., PLACE] += found[..., SPEED] * seconds[:, None, None]
    return found


STATE_BASELINES: Mapping[str, StatePrediction] = {
    "frozen state": frozen_state,
    "constant velocity": straight_motion,
}


def state_films(row: Row, spec: RenderSpec, context: int, sources: Sequence[str]) -> ClipFilms:
    """In a worker: the films of a clip as states, and what baselines that know no physics make of them.

    Args:
        row: The clip.
        spec: Rate of the states, and size of the pictures of a report.
        context: States that the model is shown before what it predicts.
        sources: Names of films.
    """
    begun = time.monotonic()
    clip = clip_store().get(row, spec)
    grid, alone = (_after_release(window_grid(clip, shown), clip) for shown in (context, 1))
    made = ClipFilms(clip, grid, alone, {}, {}, {name: {} for name in STATE_BASELINES})
    for source in dict.fromkeys((POSSIBLE, *sources)):
        try:
            states, event = film_states(clip, source)
        except PhysbenchError as reason:
            made.absent[source] = str(reason)
            continue
        made.before[source] = nearest_film(source, states, made.films)
        made.films[source] = states
        if source != POSSIBLE:
            made.events[source] = event
        film = made.film(source)
        for name, predict in STATE_BASELINES.items():
            errors = [state_error(film, alone, k, predict(film, alone, k)) for k in range(len(alone.starts))]
            made.baselines[name][source] = np.array(errors)
    return replace(made, seconds=time.monotonic() - begun)


def _after_release(grid: WindowGrid, clip: Clip) -> WindowGrid:
    """The windows that begin once nothing is held any more: what holds a body is no state of it."""
    last = max((body.release for body in clip.scene.bodies if body.release is not None), default=-np.inf)
    free = clip.times[grid.starts] >= last - 1e-9
    return replace(grid, starts=grid.starts[free], times=grid.times[free])

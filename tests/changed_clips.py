"""Clips of changed worlds without rendering: exact places with noise, as evidence for a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np
from shadow_scenes import METRES, NOISE_PX, problem

from physbench.result.diagnosis import ChangedWorld, Evidence, find_changed_worlds
from physbench.result.diagnosis.explanation import with_own_noise
from physbench.result.diagnosis.worlds import altered_by
from physbench.shadowing.fit import Arc, Hypothesis
from physbench.shadowing.search import SegmentSearch

KNOWN = {world.id: world for world in find_changed_worlds()}


@lru_cache
def true_clip(task: str, seed: int) -> tuple[Hypothesis, tuple[Arc, ...]]:
    """A clip of the true world, and its trajectories."""
    found = problem(task, seed)
    arcs = SegmentSearch(found, 0.03, only_first=True).run().arcs
    return found, tuple(replace(arc, last=len(found.seen.times)) for arc in arcs)


def trembling(clip: Evidence, sd: float) -> Evidence:
    """A clip with independent noise of sd diameters in its predicted positions, as a diagnosis takes it."""
    off = np.random.default_rng([9, int(clip.clip.rpartition(".")[2])]).normal(0, sd, clip.seen.position.shape)
    off = np.where((clip.seen.times > 1e-9)[:, None, None], off, 0.0) * clip.seen.diameter[:, None]
    return with_own_noise(replace(clip, seen=replace(clip.seen, position=clip.seen.position + off)))


def evidence(task: str, seed: int, values: Mapping[str, float], more: tuple[ChangedWorld, ...] = ()) -> Evidence:
    """A clip of the true world up to the hand-over, and from there on of one in which values of worlds, by id, hold."""
    found, arcs = true_clip(task, seed)
    known = {**KNOWN, **{world.id: world for world in more}}
    model = altered_by(found.law, tuple(known[name] for name in values), tuple(values.values()))
    total = len(found.seen.times)
    exact = Hypothesis(model, found.seen).simulate(arcs, total - 1).at(found.seen.steps)[0][0]
    noise = np.random.default_rng([7, seed]).normal(0, NOISE_PX * METRES, exact.shape)
    return Evidence(f"{task}.{seed}", task, found.law, replace(found.seen, position=exact + noise))

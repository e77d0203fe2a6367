"""Orbits that others published as tables of states, read as the answers of a model of states, with a task for them.

    git clone https://github.com/keyonvafa/inductive-bias-probes
    physbench eval examples/public_checkpoints/kepler_states.py:make --suite smoke \
        --tasks examples/public_checkpoints/kepler_states.py \
        --model-arg folder=inductive-bias-probes/inductivebiasprobes/experiments/physics/llm-prompts

Each `true_state_N.npy` holds float32 (450, 6): x, y (au) from the star, their velocities, masses of planet and star.
The first 60 rows of a file are the context of a clip, and the other 390 are the answer.
"""

from pathlib import Path

import numpy as np
import torch

from physbench import (
    BODY_COLUMNS,
    Body,
    Camera,
    CentralGravity,
    Parameter,
    Scene,
    StateCard,
    Task,
    ball,
    declare,
    hue_name,
    hues,
)
from physbench.laws.kepler import elliptic_state

FPS = 60  # rows/s as which the files are read
CONTEXT, ROWS = 60, 450
HISTORY = 2.0  # s, where every scene begins before the hand-over
SEMI_AXIS = 1.7  # m, of every orbit
# Semi-major axis (au), eccentricity, direction of the periapsis, mean anomaly in the first row and its growth from row
# to row (rad), fitted to the positions of each file.
ORBITS = (
    (24.1856698, 0.162547771, -0.396508002, -2.26916564, 1.06156435e-3),
    (31.8948886, 0.0736255630, -1.08735861, 0.269190206, 7.24517107e-4),
    (5.95261247, 0.0981944900, 1.07181642, 2.18771734, 7.21140000e-3),
    (21.3076732, 0.145130720, -2.38091085, 1.26218108, 2.44879400e-2),
    (1.90009106, 0.00912369000, 2.80296123, 1.68860727, 4.74327200e-2),
)


class PublishedOrbits(Task):
    """A planet goes around a fixed star, on one of five published orbits.

    What happens: the planet moves on its ellipse from the start of the history to the end of the horizon.
    Law: the acceleration is mu / r^2 towards the star (Newton 1687, Principia, book I). mu follows from the orbit's
    mean motion n and its semi-major axis a: mu = n^2 a^3.
    Camera: from straight above, 5.12 m wide, no ground. Actions: none.
    Hand-over: in motion throughout, horizon 6.5 s. Two orbits are so slow that they show a 20th of a period.
    May be hidden: nothing.
    Version history: v1, first release.

    {parameters}
    """

    id = "own/published-orbits-v1"
    parameters = declare(
        orbit=Parameter("", "visible", (0, len(ORBITS) - 1), "number of the file", grid=1),
        star_radius=Parameter.fixed(0.2, "m", "of the star"),
        radius=Parameter.fixed(0.4, "m", "of the planet"),
        **hues("hue_planet", "hue_star"),
    )

    def accepts(self, p):
        return p["hue_planet"] != p["hue_star"]

    def scene(self, p):
        _, eccentricity, orientation, phase, growth = ORBITS[int(p["orbit"])]
        mu = (growth * FPS) ** 2 * SEMI_AXIS**3  # m3/s2
        start = (CONTEXT - 1) / FPS - HISTORY  # s after the first row
        place, velocity = elliptic_state(mu, SEMI_AXIS, eccentricity, orientation, phase, 1, start)
        planet = ball("planet", p["radius"], (*place, 0.0), p["hue_planet"], velocity=(*velocity, 0.0))
        star = Body(
            "star", "sphere", (p["star_radius"],), "fixed", (0.0, 0.0, 0.0), hue=int(p["hue_star"]), collides=False
        )
        prompt = f"A {hue_name(p['hue_planet'])} planet orbits a small {hue_name(p['hue_star'])} star. Static camera."
        horizon = (ROWS - CONTEXT) / FPS
        camera = Camera("top", (0.0, 0.0, 0.0))
        return Scene((planet, star), camera, fields=(CentralGravity("star", mu),), horizon=horizon, prompt=prompt)


class Table:
    """Continues each clip with the rest of the file that begins like it."""

    card = StateCard(
        "kepler-states", fps=FPS, context_frames=CONTEXT, max_horizon=ROWS - CONTEXT, columns="positions", space="plane"
    )

    def __init__(self, orbits):
        self.orbits = orbits  # (files, ROWS, 2) m

    def rollout_states(self, states, *, bodies, statics, mask, gravity, horizon, actions, prompts, generators):
        moves = bodies[..., BODY_COLUMNS.index("moves")] > 0
        answer = states[:, -1:].repeat(1, horizon, 1, 1)  # the star stays where it is
        for clip in range(len(states)):
            planet = states[clip][:, moves[clip]][:, 0]  # (CONTEXT, 2)
            misses = (self.orbits[:, :CONTEXT] - planet).norm(dim=-1).amax(1)  # m, of each file
            if misses.min() > 0.01:
                raise ValueError(f"no file begins like this clip: the nearest is {misses.min():.2g} m off")
            answer[clip, :, moves[clip]] = self.orbits[misses.argmin(), CONTEXT : CONTEXT + horizon, None]
        return answer


def make(*, device, dtype, folder):
    files = [np.load(Path(folder) / f"true_state_{number}.npy", allow_pickle=False) for number in range(len(ORBITS))]
    metres = [SEMI_AXIS / axis for axis, *_ in ORBITS]  # one au of each
    orbits = np.stack([file[:, :2] * unit for file, unit in zip(files, metres, strict=True)])
    return Table(torch.from_numpy(orbits).to(device, dtype))

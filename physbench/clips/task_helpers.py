"""What the parameters and conditions of many tasks share: hues, numbers, releases, the view, the event's time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from physbench.clips.clip import Split
from physbench.clips.task import Parameter, Params, draw
from physbench.world.scene import WINDOW

HALF_WINDOW = WINDOW / 2  # m, half of the window
FREE_BORDER = 0.04  # m that stay free at the border of the window
ORDINALS = ("first", "second", "third", "fourth")
EVENT_FROM, EVENT_UNTIL = 0.2, 0.6  # s, share of the horizon: between them lies the event that decides a clip

RELEASE = Parameter("s", "visible", (-1.0, -0.4), "when the holders vanish", grid=0.05)


def hues(*names: str) -> Mapping[str, Parameter]:
    """One hue for each name, drawn from the palette in all splits; a task's `accepts` keeps them apart."""
    return {name: Parameter("", "visible", (0, 4), "index into the palette", grid=1) for name in names}


def numbered(numbers: Iterable[int], **parameters: Parameter) -> Mapping[str, Parameter]:
    """The same parameters for each of several bodies, in the order of the numbers; {nth} in a meaning is the ordinal.

    >>> numbered((1, 2), mass=Parameter("kg", "visible", (1, 2), "of the {nth} ball"))["mass_2"].doc
    'of the second ball'
    """
    return {
        f"{name}_{k}": replace(parameter, doc=parameter.doc.replace("{nth}", ORDINALS[k - 1]))
        for k in numbers
        for name, parameter in parameters.items()
    }


def draw_evenly(
    name: str,
    parameters: Mapping[str, Parameter],
    rng: np.random.Generator,
    split: Split,
    accepts: Callable[[Params], bool],
) -> Params:
    """Draw as `draw` does, with each value of the parameter `name` as frequent, however seldom it is accepted."""
    value = parameters[name].draw(rng, split)
    return draw(parameters, rng, split, lambda p: p[name] == value and accepts(p))


def inside(centre: Sequence[float], radius: float, border: float = FREE_BORDER) -> bool:
    """Whether a disc lies in the window. centre: m from the middle of the window, any number of coordinates.

    >>> inside((2.0, -1.0), 0.5), inside((2.0, -2.1), 0.5)
    (True, False)
    """
    return max(map(abs, centre)) + radius <= HALF_WINDOW - border


def event_in(time: float, horizon: float = 4.0, spare: float = 0.0) -> bool:
    """Whether the event that decides a clip lies in [0.2 s, 0.6 horizon], at least `spare` s from both ends.

    >>> event_in(0.3), event_in(2.5)
    (True, False)
    """
    return EVENT_FROM + spare <= time <= EVENT_UNTIL * horizon - spare

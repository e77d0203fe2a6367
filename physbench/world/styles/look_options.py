"""Looks by name, and the options that stand behind the name of one: `natural:shutter=0,noise=1.5`.

The options are part of the name. So what tells looks apart (keys of stored clips, boards, comparisons) tells them
apart too, and whatever takes a look takes its options. A look has one name: an option that is as usual is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from physbench.support.errors import UsageError, nearest
from physbench.world.scene import PLAIN

NATURAL_LOOK = "natural"


@dataclass(frozen=True)
class LookOption:
    """A number that a look takes, 0 for none of it; the usual one is left out of the name."""

    most: float
    help: str
    usual: float = 0.0


LEAST = 0.01  # of what is not 0: smaller numbers would be written with an exponent

# In the order in which a name holds them.
OPTIONS: Mapping[str, Mapping[str, LookOption]] = {
    PLAIN: {},
    NATURAL_LOOK: {
        "shutter": LookOption(
            360.0,
            "degrees for which the shutter is open: 180, which is usual, blurs what moves over half of the frame time",
            usual=180.0,
        ),
        "noise": LookOption(4.0, "standard deviation of the sensor's noise in medium grey, levels of 255"),
    },
}
LOOKS = tuple(OPTIONS)


def base_look(look: str) -> str:
    """The name of a look without its options."""
    return look.partition(":")[0]


def look_options(look: str) -> dict[str, float]:
    """Values of all options of a look. Raises UsageError where there is no such look, option or value."""
    name, colon, words = look.partition(":")
    if name not in LOOKS:
        raise UsageError(f"--look: there is no '{name}'.{nearest(name, LOOKS)}")
    options, given = OPTIONS[name], dict[str, float]()
    for word in words.split(",") if colon else ():
        option, _, value = word.partition("=")
        if option not in options:
            known = "; ".join(f"{each}=NUMBER, {of.help}" for each, of in options.items()) or "none"
            raise UsageError(
                f"--look {look}: the look {name} has no option '{option}'.{nearest(option, options)} It has {known}."
            )
        if option in given:
            raise UsageError(f"--look {look}: {option} is given twice.")
        given[option] = _number(look, option, value, options[option].most)
    if look != (written := look_named(name, given)):
        raise UsageError(f"--look {look}: there is one way to write a look. Write {written}.")
    return _usual(name) | given


def _usual(name: str) -> dict[str, float]:
    return {option: of.usual for option, of in OPTIONS[name].items()}


def look_named(name: str, values: Mapping[str, float]) -> str:
    """The look of a name with values of options, those that are as usual left out."""
    words = [
        f"{option}={values[option]:g}" for option, usual in _usual(name).items() if values.get(option, usual) != usual
    ]
    return f"{name}:{','.join(words)}" if words else name


def requested_effects(look: str) -> dict[str, float]:
    """Options of a look that ask for an effect: they are neither as usual nor 0. Raises as `look_options`."""
    values, usual = look_options(look), _usual(base_look(look))
    return {option: value for option, value in values.items() if value not in (0.0, usual[option])}


def _number(look: str, option: str, value: str, most: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (number == 0 or LEAST <= number <= most):
        raise UsageError(
            f"--look {look}: expected {option} to be 0 or a number from {LEAST:g} to {most:g}, got '{value}'."
        )
    return number

"""What is impossible in the films of the suite `expectation`, and by how much: kinds, their sizes, their words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Scale = Literal["as it is", "below 1", "above 1", "below 2"]  # how a violation's severity becomes an amount


@dataclass(frozen=True)
class ImpossibleKind:
    """One kind of impossible film: a violation at several sizes.

    The amount of a violation is 0 where nothing is wrong and rises with how much is: psychometric curves run over it.
    """

    name: str  # of the violation
    sizes: tuple[float, ...]  # its severities from small to large; one alone where it is there or not
    noun: str  # what is noticed, in the sentence of a result
    threshold: str = ""  # how a threshold is said, with {} in the place of its severity
    unit: str = ""  # of the severity
    scale: Scale = "as it is"
    quadruple: bool = False  # both orders of two looks are shown, so that every frame is as often possible
    look: bool = False  # of looks or of presence: states of bodies show nothing of it

    @property
    def sized(self) -> bool:
        return len(self.sizes) > 1

    def amount(self, size: float) -> float:
        """How much is wrong, above 0."""
        match self.scale:
            case "below 1":
                return 1.0 - size
            case "above 1":
                return size - 1.0
            case "below 2":
                return 2.0 - size
            case _:
                return size

    def severity(self, amount: float) -> float:
        """The severity of an amount: the inverse of `amount`, for thresholds between the sizes."""
        match self.scale:
            case "below 1":
                return 1.0 - amount
            case "above 1":
                return 1.0 + amount
            case "below 2":
                return 2.0 - amount
            case _:
                return amount


BELOW: tuple[str, Scale] = ("times", "below 1")  # unit and scale of factors below 1, and above it
ABOVE: tuple[str, Scale] = ("times", "above 1")
_HUES = (10.0, 20.0, 45.0, 90.0, 180.0)
_KINDS = (
    ImpossibleKind("teleport", (0.1, 0.2, 0.4, 0.8, 1.6), "jumps", "from {} diameters on", "diameters"),
    ImpossibleKind("kick", (0.1, 0.2, 0.5, 1.0, 2.0), "kicks out of nothing", "from {} m/s on", "m/s"),
    ImpossibleKind("start", (0.1, 0.2, 0.5, 1.0, 2.0), "motion out of rest", "from {} m/s on", "m/s"),
    ImpossibleKind("freeze", (0.1, 0.2, 0.4, 0.8, 1.6), "stops in mid-motion", "from {} s on", "s"),
    ImpossibleKind("gravity", (0.9, 0.75, 0.5, 0.25, 0.0, -1.0), "gravity", "below × {}", *BELOW),
    ImpossibleKind("gravity-tilt", (5.0, 10.0, 20.0, 40.0, 80.0), "gravity that is tilted", "from {}° on", "deg"),
    ImpossibleKind("force-exponent", (1.8, 1.5, 1.0, 0.5, 0.0), "a force law", "below 1/r^{}", "exponent", "below 2"),
    ImpossibleKind("central-mass", (0.9, 0.75, 0.5, 0.25, 0.0), "a star’s pull", "below × {}", *BELOW),
    ImpossibleKind("slow-time", (0.9, 0.75, 0.5, 0.25, 0.1), "slow motion", "below × {}", *BELOW),
    ImpossibleKind("reverse-time", (0.1, 0.2, 0.4, 0.8, 1.6), "time that runs backwards", "from {} s on", "s"),
    ImpossibleKind("momentum", (0.25, 0.5, 1.0, 2.0, 4.0), "momentum from nowhere", "from {} impulses on", "impulses"),
    ImpossibleKind("mass-ratio", (1.5, 2.0, 4.0, 8.0, 16.0), "masses that do not fit", "from × {} on", *ABOVE),
    ImpossibleKind("restitution", (1.1, 1.3, 1.6, 2.0, 3.0), "bounces with more energy", "from × {} on", *ABOVE),
    ImpossibleKind("hue", _HUES, "a change of hue", "from {}° on", "deg", quadruple=True, look=True),
    ImpossibleKind("exchange", (1.0,), "hues that are exchanged", quadruple=True, look=True),
    ImpossibleKind("shape", (1.0,), "another shape", look=True),
    ImpossibleKind("size", (1.1, 1.2, 1.4, 1.8, 2.5), "growth", "from × {} on", *ABOVE, look=True),
    ImpossibleKind("blink", (0.1, 0.2, 0.4, 0.8, 1.6), "absence", "from {} s on", "s", look=True),
    ImpossibleKind("return-late", (0.1, 0.2, 0.4, 0.8, 1.6), "a late return", "from {} s on", "s"),
    ImpossibleKind("return-early", (0.05, 0.1, 0.2, 0.3, 0.4), "an early return", "from {} s on", "s"),
    ImpossibleKind(
        "return-hue",
        (10.0, 20.0, 45.0, 90.0, 180.0),
        "another hue behind a screen",
        "from {}° on",
        "deg",
        quadruple=True,
        look=True,
    ),
    ImpossibleKind(
        "return-size", (0.9, 0.8, 0.65, 0.5, 0.35), "shrinking behind a screen", "below × {}", *BELOW, look=True
    ),
    ImpossibleKind("vanish", (1.0,), "vanishing", look=True),
    ImpossibleKind("duplicate", (1.25,), "a double that appears", look=True),
    ImpossibleKind("pass-through", (1.0,), "passing through"),
    ImpossibleKind("return-never", (1.0,), "loss behind a screen", look=True),
    ImpossibleKind("return-wrong-side", (1.0,), "return on the wrong side"),
    ImpossibleKind("return-through-wall", (1.0,), "passing a wall behind a screen"),
)
IMPOSSIBLE_KINDS: Mapping[str, ImpossibleKind] = {kind.name: kind for kind in _KINDS}

# Lawful and new, and what each shows. Surprise at these is a false alarm.
CONTROLS: Mapping[str, str] = {
    "stranger-near": "another future that the context allows",
    "flicker:10": "light that flickers by 10 %",
    "fade:10": "contrast that fades by 10 % a second",
    "colour-drift:5": "hues of the whole picture that drift by 5 degrees a second",
    "blur:1": "a picture out of focus by 1 px",
    "noise:8": "noise of 8 levels of 255",
}

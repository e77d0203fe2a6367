"""The words of the page that need an explanation: shown on hover and focus, and as a list at its end."""

from __future__ import annotations

from physbench.results.number_format import AXIS_NAMES, GUARD_MEANING

GLOSSARY: dict[str, tuple[str, str]] = {  # by key: the term, and what it means
    "skill": ("skill", "0 is the last frame frozen, 1 is ground truth, both through the same measuring chain."),
    "quality": ("quality", "A share of time or of objects, from 0 to 1, before it is set between freeze and truth."),
    "consistency": (
        AXIS_NAMES["consistency"],
        "Could this have happened under the laws of the scene, whatever the recorded future was?",
    ),
    "permanence": (AXIS_NAMES["permanence"], "Is everything still there, whole, and still itself?"),
    "drift": (
        AXIS_NAMES["drift"],
        "Is it what happens here, for as long as that can be known? More is better: 1 drifts no more than truth.",
    ),
    "kept": (
        "kept, lost",
        GUARD_MEANING,
    ),
    "truth": ("truth", "The simulated future, seen through the same tracker as the prediction."),
    "freeze": ("freeze", "The last frame that the model was shown, repeated."),
    "cv": ("constant velocity", "Everything goes on as it last moved, through all that it meets."),
    "diameter": ("diameter", "Errors and tolerances are measured in the object’s own diameters."),
    "handover": ("hand-over", "Time 0: the model was shown everything before it and predicts everything after it."),
    "lawful": ("lawful", "Near a trajectory of the scene’s own simulation, whatever the recorded future was."),
    "tolerance": ("tolerance", "How near a lawful trajectory must be: 0.03, 0.08, 0.2 and 0.5 diameters."),
    "break": ("break", "The moment at which no lawful trajectory goes on within the tolerance."),
    "strength": (
        "strength",
        "The smallest distance in diameters within which the whole motion is lawful; less is better.",
    ),
    "tp": ("predictability time", "Until when the context determines what happens, to within a diameter."),
    "interval": ("95 % interval", "By resampling clips together with their references; in brackets."),
}

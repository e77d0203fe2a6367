"""Tasks that a checker must refuse, each for one reason: sources of a file, made from the task of the template."""

from __future__ import annotations

from importlib.resources import files


def source(name: str, **changes: str) -> str:
    """The template's task under another id, with pieces of it replaced; every piece must be there once."""
    text = files("physbench.clips").joinpath("templates", "task.py.txt").read_text(encoding="utf-8")
    text = text.format(title=name, file=f"{name}.py", name="Broken", id=f"own/{name.replace('_', '-')}-v1")
    for old, new in changes.items():
        piece, put = PIECES[old], new
        assert text.count(piece) == 1, piece
        text = text.replace(piece, put)
    return text


PIECES = {
    "scene": "        return Scene(\n",
    "floor": "(thrown, floor(), ",
    "bodies": 'bodies=(thrown, floor(), shelf("holder", 0.0, p["height"], p["release"]))',
    "place": '(0.0, 0.0, p["height"] + p["radius"]),',
    "restitution": "restitution=Parameter.fixed(0.8,",
    "radius": '(0.40, 0.52), "of the ball", ood=(0.56, 0.66)',
    "kind": 'radius=Parameter("m", "visible",',
    "law": "    Law: ",
    "import": "import math\n",
    "velocity": 'velocity=(0.0, 0.0, p["velocity"]),',
    "gravity": 'gravity=(0.0, 0.0, -p["gravity"]),',
    "accepts": 'return event_in(p["release"] + fall, spare=0.05) and inside((peak - CENTER_Z,), p["radius"])',
}

REPLACE = "import math\nfrom dataclasses import replace\n"
WRONG_MASS = {"import": REPLACE, "floor": "(replace(thrown, mass=1.0), floor(), "}

# A second ball that stands half inside the first one from the start.
OVERLAPPING = source(
    "overlapping",
    floor="(thrown, other, floor(), ",
    scene="""\
        position = (p["radius"], 0.0, p["height"] + p["radius"])
        other = ball("other", 0.5, position, int(p["hue"] + 2) % 5, release=p["release"])
"""
    + PIECES["scene"],
)
OUT_OF_VIEW = source("out_of_view", velocity='velocity=(3.5, 0.0, p["velocity"]),')
NONDETERMINISTIC = source(
    "nondeterministic",
    **{
        "import": "import math\nimport random\n",
        "place": '(random.uniform(-1.0, 1.0), 0.0, p["height"] + p["radius"]),',
    },
)
BY_HASH = source(  # the same in this process, another one in the next
    "by_hash", place='(hash("seed") % 100 / 100, 0.0, p["height"] + p["radius"]),'
)
# It lies on the floor from shortly before the hand-over on.
NOTHING_LEFT = source(
    "nothing_left",
    restitution="restitution=Parameter.fixed(0.0,",
    accepts='return p["release"] + math.sqrt(2 * p["height"] / p["gravity"]) <= -0.1',
    velocity="velocity=(0.0, 0.0, 0.0),",
)
EXPLODING = source("exploding", restitution="restitution=Parameter.fixed(1.3,")
# A spring that swings in less than the simulator's step.
SPRUNG = source(
    "sprung",
    floor="(thrown, knob, floor(), ",
    gravity=PIECES["gravity"] + '\n            fields=(Spring("knob", "ball", 1e8, 1.0),),',
    scene="""\
        knob = Body("knob", "sphere", (0.2,), "fixed", (0.0, 0.0, 4.4), grey=0.3, collides=False)
"""
    + PIECES["scene"],
    **{"import": "import math\nfrom physbench import Body, Spring\n"},
)
# A floor that is lit as grey as the background, and one that is not drawn.
UNSEEN = source("unseen", floor="(thrown, floor(0.53), ")
UNDRAWN = source("undrawn", floor="(thrown, replace(floor(), drawn=False), ", **{"import": REPLACE})
# It touches a wall softly, and all of what follows happens within a few centimetres.
SLOW = source(
    "slow",
    restitution="restitution=Parameter.fixed(0.05,",
    accepts='return p["release"] <= -0.9',
    velocity="velocity=(0.3, 0.0, 0.0),",
    gravity="gravity=(0.0, 0.0, 0.0),",
    floor="(thrown, floor(), wall, ",
    scene="""\
        face = 0.3 * (0.2 - p["release"]) + p["radius"]
        wall = Body("wall", "box", (0.1, 0.5, 2.5), "fixed", (face + 0.1, 0.0, 2.2), grey=0.45)
"""
    + PIECES["scene"],
    **{"import": "import math\nfrom physbench import Body\n"},
)

"""Bodies in free fall."""

from __future__ import annotations

import math

import numpy as np

from physbench.clips.clip import Split
from physbench.clips.task import Parameter, Params, declare, draw
from physbench.tasks.helpers import HALF, RELEASE, holder, hue_name, hues
from physbench.world.scene import FLOOR_GREY, Body, Camera, Scene, sphere_mass

CENTER_Z = 2.2  # m, of the window
TOP = CENTER_Z + HALF
MARGIN = 0.04  # m that stay free at the border


class Projectile:
    """A ball is thrown, lands and bounces on.

    What happens: a ball rests on a small grey shelf. The shelf vanishes and the ball flies off with a drawn velocity;
    it reaches the floor after the hand-over and bounces on until the end.

    Law: free fall, z(t) = z0 + vz t - g t^2 / 2 with constant horizontal speed (Galilei 1638, Discorsi, fourth day);
    at a bounce vz -> -e vz (Newton's law of restitution). No air, no friction, no spin.

    | parameter    | unit | class   | train and test    | ood            | meaning                             |
    | ------------ | ---- | ------- | ----------------- | -------------- | ----------------------------------- |
    | gravity      | m/s2 | fixed   | 9.81              |                | downwards                           |
    | restitution  |      | fixed   | 0.8               |                | of ball and floor                   |
    | friction     |      | fixed   | 0                 |                | of ball and floor                   |
    | radius       | m    | visible | 0.4 .. 0.52       | 0.56 .. 0.66   | of the ball                         |
    | hue          |      | visible | 0, 1 .. 4         |                | index into the palette              |
    | release      | s    | visible | -1, -0.95 .. -0.4 |                | when the holders vanish             |
    | start_x      | m    | visible | -2.1 .. 2.1       |                | where the ball is held              |
    | start_height | m    | visible | 0.6 .. 2.6        |                | of its lowest point above the floor |
    | velocity_x   | m/s  | visible | +-0.25 .. 0.6     | +-0.62 .. 0.75 | thrown sideways                     |
    | velocity_z   | m/s  | visible | 1.5 .. 5          | 5.2 .. 6.4     | thrown upwards                      |

    start_height is that of the ball's lowest point above the floor. Mass is density x volume.

    Camera: from the front, 5.12 m wide, the floor in its lower part. Actions: none.
    Hand-over: held until `release`, in flight at 0, first contact in [0.2 s, 2.4 s], horizon 4 s.
    The ball is in full view throughout, also on a twin with half the gravity from the hand-over on.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "falling/projectile-v1"
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.8, "", "of ball and floor"),
        friction=Parameter.fixed(0.0, "", "of ball and floor"),
        radius=Parameter("m", "visible", (0.40, 0.52), "of the ball", ood=(0.56, 0.66)),
        **hues("hue"),
        release=RELEASE,
        start_x=Parameter("m", "visible", (-2.1, 2.1), "where the ball is held"),
        start_height=Parameter("m", "visible", (0.6, 2.6), "of its lowest point above the floor"),
        velocity_x=Parameter("m/s", "visible", (0.25, 0.6), "thrown sideways", ood=(0.62, 0.75), signed=True),
        velocity_z=Parameter("m/s", "visible", (1.5, 5.0), "thrown upwards", ood=(5.2, 6.4)),
    )
    horizon = 4.0  # s

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        return draw(self.parameters, rng, split, self.accepts)

    def accepts(self, p: Params) -> bool:
        """Contact in time; truth and the half-gravity twin inside the window."""
        gravity, height, vz = p["gravity"], p["start_height"], p["velocity_z"]
        contact = p["release"] + (vz + math.sqrt(vz**2 + 2 * gravity * height)) / gravity
        flown = -p["release"]
        height_0, vz_0 = height + vz * flown - gravity * flown**2 / 2, vz - gravity * flown
        peak = height + vz**2 / (2 * gravity)
        # With g / 2 it rises by vz_0^2 / g; what it bounces back to is e^2 of the height that its energy is worth.
        twin = height_0 + vz_0**2 / gravity
        twin_peak = twin if vz_0 > 0 else max(height_0, p["restitution"] ** 2 * twin)
        end_x = p["start_x"] + p["velocity_x"] * (self.horizon + flown)
        return (
            0.25 <= contact <= 0.6 * self.horizon - 0.05
            and max(peak, twin_peak) + 2 * p["radius"] <= TOP - MARGIN
            and max(abs(p["start_x"]), abs(end_x)) + p["radius"] <= HALF - MARGIN
        )

    def scene(self, params: Params) -> Scene:
        p, radius = params, params["radius"]
        start = (p["start_x"], 0.0, p["start_height"] + radius)
        ball = Body(
            "ball",
            "sphere",
            (radius,),
            "moving",
            start,
            velocity=(p["velocity_x"], 0.0, p["velocity_z"]),
            hue=int(p["hue"]),
            mass=sphere_mass(radius),
            restitution=p["restitution"],
            friction=p["friction"],
            release=p["release"],
        )
        floor = Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), grey=FLOOR_GREY, friction=1.0)
        shelf = holder("holder", (0.55 * radius, 0.2, 0.05), (start[0], 0.0, p["start_height"] - 0.05), p["release"])
        return Scene(
            bodies=(ball, floor, shelf),
            camera=Camera("front", (0.0, 0.0, CENTER_Z)),
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=f"A {hue_name(p['hue'])} ball is thrown through the air, lands on a flat floor and bounces on. "
            "Static camera, seen from the side.",
        )


class DropBounce:
    """A ball is let go above a floor and bounces.

    What happens: a ball rests on a small grey shelf. The shelf vanishes and the ball falls straight down; it reaches
    the floor after the hand-over and bounces, lower each time. The darker the floor, the less it bounces.

    Law: free fall, z(t) = z0 - g t^2 / 2 (Galilei 1638, Discorsi, third day); every bounce takes the speed v to e v
    (Newton's law of restitution), so that each reaches e^2 of the height before and takes e times as long. No air, no
    friction, no spin.

    | parameter    | unit | class   | train and test      | ood         | meaning                                     |
    | ------------ | ---- | ------- | ------------------- | ----------- | ------------------------------------------- |
    | gravity      | m/s2 | fixed   | 9.81                |             | downwards                                   |
    | restitution  |      | visible | 0.7 .. 0.9          |             | of ball and floor, seen in the floor's grey |
    | friction     |      | fixed   | 0                   |             | of ball and floor                           |
    | radius       | m    | visible | 0.4 .. 0.48         | 0.5 .. 0.54 | of the ball                                 |
    | hue          |      | visible | 0, 1 .. 4           |             | index into the palette                      |
    | release      | s    | visible | -0.6, -0.55 .. -0.4 |             | when the shelf vanishes                     |
    | start_x      | m    | visible | -1.9 .. 1.9         |             | where the ball is held                      |
    | start_height | m    | visible | 2.1 .. 3.2          | 3.25 .. 3.6 | of its lowest point above the floor         |

    start_height is that of the ball's lowest point above the floor. The floor's grey shows its restitution in all
    splits: grey = 0.2 + 1.2 (restitution - 0.7), from 0.2 (e = 0.7) to 0.44 (e = 0.9) of white. Mass is density x
    volume and plays no part.

    Camera: from the front, 5.12 m wide, the floor in its lower part. Actions: none.
    Hand-over: held until `release`, in free fall at 0, first contact in [0.2 s, 0.6 s], horizon 4 s. The ball is in
    full view throughout.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "falling/drop-bounce-v1"
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter("", "visible", (0.7, 0.9), "of ball and floor, seen in the floor's grey"),
        friction=Parameter.fixed(0.0, "", "of ball and floor"),
        radius=Parameter("m", "visible", (0.40, 0.48), "of the ball", ood=(0.50, 0.54)),
        **hues("hue"),
        release=Parameter("s", "visible", (-0.6, -0.4), "when the shelf vanishes", grid=0.05),
        start_x=Parameter("m", "visible", (-1.9, 1.9), "where the ball is held"),
        start_height=Parameter("m", "visible", (2.1, 3.2), "of its lowest point above the floor", ood=(3.25, 3.6)),
    )
    horizon = 4.0  # s

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        return draw(self.parameters, rng, split, self.accepts)

    def accepts(self, p: Params) -> bool:
        """Contact in time, in view from above."""
        contact = p["release"] + math.sqrt(2 * p["start_height"] / p["gravity"])
        return contact >= 0.22 and p["start_height"] + 2 * p["radius"] <= TOP - MARGIN

    def scene(self, params: Params) -> Scene:
        p, radius = params, params["radius"]
        ball = Body(
            "ball",
            "sphere",
            (radius,),
            "moving",
            (p["start_x"], 0.0, p["start_height"] + radius),
            hue=int(p["hue"]),
            mass=sphere_mass(radius),
            restitution=p["restitution"],
            friction=p["friction"],
            release=p["release"],
        )
        floor = Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), grey=floor_grey(p["restitution"]), friction=1.0)
        shelf = holder(
            "holder", (0.55 * radius, 0.2, 0.05), (p["start_x"], 0.0, p["start_height"] - 0.05), p["release"]
        )
        return Scene(
            bodies=(ball, floor, shelf),
            camera=Camera("front", (0.0, 0.0, CENTER_Z)),
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=f"A {hue_name(p['hue'])} ball is let go, falls straight down onto a flat floor and bounces, lower "
            "each time. Static camera, seen from the side.",
        )


def floor_grey(restitution: float) -> float:
    """Grey, 0..1, of a floor from which a ball bounces with this restitution."""
    return 0.2 + 1.2 * (restitution - 0.7)

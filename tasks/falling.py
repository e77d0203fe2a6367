"""Bodies in free fall."""

from __future__ import annotations

import math

from physbench.clips.task import Parameter, Params, Task, declare
from physbench.clips.task_helpers import RELEASE, event_in, hues, inside
from physbench.world.bodies import ball, floor, shelf
from physbench.world.scene import Camera, Scene, hue_name

CENTER_Z = 2.2  # m, height of the middle of the window above the floor


class Projectile(Task):
    """A ball is thrown, lands and bounces on.

    What happens: a ball rests on a small grey shelf. The shelf vanishes and the ball flies off with a drawn velocity;
    it reaches the floor after the hand-over and bounces on until the end.

    Law: free fall, z(t) = z0 + vz t - g t^2 / 2 with constant horizontal speed (Galilei 1638, Discorsi, fourth day);
    at a bounce vz -> -e vz (Newton's law of restitution). No air, no friction, no spin.

    {parameters}

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

    def accepts(self, p: Params) -> bool:
        """Contact in time; ground truth and the half-gravity twin in the window."""
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
            event_in(contact, self.horizon, spare=0.05)
            and inside((max(peak, twin_peak) + p["radius"] - CENTER_Z,), p["radius"])
            and inside((p["start_x"], end_x), p["radius"])
        )

    def scene(self, params: Params) -> Scene:
        p, radius = params, params["radius"]
        thrown = ball(
            "ball",
            radius,
            (p["start_x"], 0.0, p["start_height"] + radius),
            p["hue"],
            velocity=(p["velocity_x"], 0.0, p["velocity_z"]),
            restitution=p["restitution"],
            friction=p["friction"],
            release=p["release"],
        )
        return Scene(
            bodies=(thrown, floor(), shelf("holder", p["start_x"], p["start_height"], p["release"], 0.55 * radius)),
            camera=Camera("front", (0.0, 0.0, CENTER_Z)),
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=f"A {hue_name(p['hue'])} ball is thrown through the air, lands on a flat floor and bounces on. "
            "Static camera, seen from the side.",
        )


class DropBounce(Task):
    """A ball is let go above a floor and bounces.

    What happens: a ball rests on a small grey shelf. The shelf vanishes and the ball falls straight down; it reaches
    the floor after the hand-over and bounces, lower each time. The darker the floor, the less it bounces.

    Law: free fall, z(t) = z0 - g t^2 / 2 (Galilei 1638, Discorsi, third day); every bounce takes the speed v to e v
    (Newton's law of restitution), so that each reaches e^2 of the height before and takes e times as long. No air, no
    friction, no spin.

    {parameters}

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

    def accepts(self, p: Params) -> bool:
        """Contact in time, in view from above."""
        contact = p["release"] + math.sqrt(2 * p["start_height"] / p["gravity"])
        highest = p["start_height"] + p["radius"] - CENTER_Z
        return event_in(contact, self.horizon, spare=0.02) and inside((highest,), p["radius"])

    def scene(self, params: Params) -> Scene:
        p, radius = params, params["radius"]
        dropped = ball(
            "ball",
            radius,
            (p["start_x"], 0.0, p["start_height"] + radius),
            p["hue"],
            restitution=p["restitution"],
            friction=p["friction"],
            release=p["release"],
        )
        ground = floor(floor_grey(p["restitution"]))
        return Scene(
            bodies=(dropped, ground, shelf("holder", p["start_x"], p["start_height"], p["release"], 0.55 * radius)),
            camera=Camera("front", (0.0, 0.0, CENTER_Z)),
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=f"A {hue_name(p['hue'])} ball is let go, falls straight down onto a flat floor and bounces, lower "
            "each time. Static camera, seen from the side.",
        )


def floor_grey(restitution: float) -> float:
    """Grey, 0..1, of a floor from which a ball bounces with this restitution."""
    return 0.2 + 1.2 * (restitution - 0.7)

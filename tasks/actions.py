"""Tasks of the suites `actions`, `pusher` and `thrust`: what is done after the hand-over decides what happens.

A push is an impulse on the grid of 1/20 s; a driven body is told a velocity, a thruster a force. Models that take
actions are told of them; the others can only guess.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from physbench.clips.action_space import forces, pushes, velocities
from physbench.clips.clip import Split
from physbench.clips.task import (
    FREE_BORDER,
    HALF_WINDOW,
    RELEASE,
    Parameter,
    Params,
    Task,
    declare,
    draw,
    hues,
    inside,
    numbered,
)
from physbench.laws.impacts import Flat, at, meeting_time, rebound
from physbench.support.arrays import Array
from physbench.tasks.collisions import (
    BILLIARDS,
    CUSHION,
    MOVED_BY,
    VIEW_AFTER_HIT,
    Balls,
    Billiards,
    gliding,
    gone,
    play,
    rolls_on,
    start,
    steady,
)
from physbench.tasks.orbits import SURFACE_GAP, Kepler, half_extents, kepler_state
from physbench.world.bodies import ball, held, table, turned_from_top, wall
from physbench.world.links import LINK
from physbench.world.scene import (
    HISTORY,
    Body,
    Burn,
    Camera,
    Command,
    Drive,
    Impulse,
    Scene,
    Thrust,
    hue_name,
    sphere_mass,
)

CHANGED_BY = 2.0  # s, when a ball that is not pushed is elsewhere than without the push


class HeadOnPush(Task):
    """Two balls would pass each other; a push sends one into the other, seen from straight above.

    What happens: two balls of different size lie on a table, each in front of a grey block. The blocks vanish, both
    move towards each other on parallel lines so far apart that they would miss. After the hand-over the smaller one is
    pushed sideways, into the way of the larger one, and they collide.

    Law: an impulse J changes the velocity by J / m (Newton 1687, Principia, law II); conservation of momentum and
    Newton's law of restitution along the line of centres (corollary III). Straight lines in between; no gravity, no
    friction, no spin, the table is only drawn.

    {parameters}

    heading is the direction of ball a; offset the distance of the two lines over the sum of the radii (1 is a touch),
    positive where ball b passes on the left of ball a; passing is the time at which they would be abreast and (pass_x,
    pass_y) the middle between them then. The impulse points from a's line to b's, turned by push_turn. Mass is density
    x volume.

    Camera: from straight above, 5.12 m wide. Actions: one impulse on ball a, at `push`.
    Hand-over: both held until `release`, both moving at 0, push in [0.05 s, 0.5 s], contact in [0.25 s, 2.2 s], at
    least 0.15 s after the push; horizon 4 s. Both stay in full view for 0.8 s after the contact and may leave later,
    but get a diameter away from where they would be without the push before.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "collisions/head-on-push-v1"
    actions = True
    action_space = pushes(60.0)
    parameters = declare(
        restitution=Parameter.fixed(0.9, "", "of the two balls"),
        friction=Parameter.fixed(0.0, "", "of the two balls"),
        radius_a=Parameter("m", "visible", (0.40, 0.46), "of the smaller ball"),
        radius_b=Parameter("m", "visible", (0.54, 0.62), "of the larger ball", ood=(0.64, 0.68)),
        **hues("hue_a", "hue_b"),
        release=RELEASE,
        speed_a=Parameter("m/s", "visible", (0.7, 0.9), "of ball a"),
        speed_b=Parameter("m/s", "visible", (1.1, 1.5), "of ball b", ood=(1.55, 1.7)),
        heading=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of ball a"),
        offset=Parameter("", "visible", (1.1, 1.4), "distance of the lines over the sum of radii", signed=True),
        passing=Parameter("s", "visible", (0.8, 1.5), "time at which they would be abreast"),
        pass_x=Parameter("m", "visible", (-1.2, 1.2), "middle between them then, to the right"),
        pass_y=Parameter("m", "visible", (-1.2, 1.2), "middle between them then, upwards in the image"),
        push=Parameter("s", "visible", (0.05, 0.5), "time of the push on ball a", grid=0.05),
        impulse=Parameter("N s", "visible", (25.0, 60.0), "of the push"),
        push_turn=Parameter("rad", "visible", (-0.5, 0.5), "direction of the push from across the lines"),
    )

    def accepts(self, p: Params) -> bool:
        """Different hues; a full hit in time; both in view from the release until a while after it; both away from
        where they were by the middle of the horizon and, in view, from where they would be without the push."""
        if p["hue_a"] == p["hue_b"]:
            return False
        centres, before, pushed = approach(p)
        radii = (p["radius_a"], p["radius_b"])
        if not all(inside(at(c, v, p["release"]), r) for c, v, r in zip(centres, before, radii, strict=True)):
            return False
        wait = wait_for_hit(p)
        # s between a push and the first hit: at least .15, and in time for what follows
        if not max(0.15, BILLIARDS.first_hit - p["push"]) <= wait <= 2.2 - p["push"]:
            return False
        meet, after = contact_after_push(p)
        grazes = math.dist(after[0], pushed) < 0.5
        paths = zip(meet, after, centres, before, radii, strict=True)
        return not grazes and all(seen_elsewhere(p["push"] + wait, *path) for path in paths)

    def scene(self, p: Params) -> Scene:
        centres, before, _ = approach(p)
        balls = [
            gliding(name, p, at(centre, velocity, p["release"]), velocity)
            for name, centre, velocity in zip("ab", centres, before, strict=True)
        ]
        blocks = [held(ball, f"holder {name}") for name, ball in zip("ab", balls, strict=True)]
        a, b = hue_name(p["hue_a"]), hue_name(p["hue_b"])
        start = f"A small {a} ball and a large {b} ball glide past each other on a frictionless table"
        end = ". Static camera, seen from straight above."
        glide = f"A small {a} exercise ball and a large {b} one glide over a smooth floor on two parallel lines."
        return Scene(
            bodies=(*balls, table(), *blocks),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            impulses=(Impulse(p["push"], "ball a", (*sideways_impulse(p), 0.0)),),
            prompt=f"{start}; the {a} one is pushed into the way of the {b} one, and they collide and rebound{end}",
            prompt_unpushed=start + end,
            caption=f"{glide} Soon the {a} one is pushed towards the line of the {b} one.",
            caption_unpushed=glide,
        )


def approach(p: Params) -> tuple[tuple[Flat, Flat], tuple[Flat, Flat], Flat]:
    """Centres (a, b) at the hand-over m, their velocities m/s until the push, and that of a after it."""
    ahead = (math.cos(p["heading"]), math.sin(p["heading"]))
    side = math.copysign(1.0, p["offset"])
    aside = (-ahead[1] * side, ahead[0] * side)  # from the line of a to that of b
    half = abs(p["offset"]) * (p["radius_a"] + p["radius_b"]) / 2
    middle = (p["pass_x"], p["pass_y"])
    va = (p["speed_a"] * ahead[0], p["speed_a"] * ahead[1])
    vb = (-p["speed_b"] * ahead[0], -p["speed_b"] * ahead[1])
    a, b = (at(at(middle, aside, d), v, -p["passing"]) for d, v in ((-half, va), (half, vb)))
    jx, jy = sideways_impulse(p)
    mass = sphere_mass(p["radius_a"])
    return (a, b), (va, vb), (va[0] + jx / mass, va[1] + jy / mass)


def sideways_impulse(p: Params) -> Flat:
    """The push in N s."""
    angle = p["heading"] + math.copysign(math.pi / 2, p["offset"]) + p["push_turn"]
    return p["impulse"] * math.cos(angle), p["impulse"] * math.sin(angle)


def wait_for_hit(p: Params) -> float:
    """From the push to the contact, s; infinite where the balls miss each other."""
    centres, before, pushed = approach(p)
    a, b = (at(centre, velocity, p["push"]) for centre, velocity in zip(centres, before, strict=True))
    return meeting_time(a, pushed, b, before[1], p["radius_a"] + p["radius_b"])


def seen_elsewhere(hit: float, contact: Flat, after: Flat, centre: Flat, before: Flat, radius: float) -> bool:
    """True if a ball is in view after the hit, and gets away from where it was and would be without the push.

    hit: s; contact, after: its centre then, m, and its velocity, m/s; centre, before: both at the hand-over.
    """
    away = 2 * radius + FREE_BORDER
    if not inside((*contact, *at(contact, after, VIEW_AFTER_HIT)), radius):
        return False
    if math.dist(centre, at(contact, after, MOVED_BY - hit)) <= away:
        return False
    # s, at which both balls of a collision are compared with that
    pairs = [(at(contact, after, t - hit), at(centre, before, t)) for t in (1.2, 1.6, 2.0, 2.4, 2.8, 3.2) if t > hit]
    return any(max(map(abs, now)) < HALF_WINDOW and math.dist(now, other) > away for now, other in pairs)


def contact_after_push(p: Params) -> tuple[tuple[Flat, Flat], tuple[Flat, Flat]]:
    """Centres (a, b) where they touch m and their velocities after it m/s, in closed form."""
    centres, (va, vb), pushed = approach(p)
    wait = wait_for_hit(p)
    a, b = at(at(centres[0], va, p["push"]), pushed, wait), at(at(centres[1], vb, p["push"]), vb, wait)
    masses = sphere_mass(p["radius_a"]), sphere_mass(p["radius_b"])
    return (a, b), rebound(a, pushed, masses[0], b, vb, masses[1], p["restitution"])


class BilliardsPush(Billiards):
    """The cue ball is pushed before it hits anything, on a table with cushions, seen from straight above.

    What happens: as in `collisions/billiards-v1`: two to four balls of one size roll on a table and hit each other and
    its cushions. Soon after the hand-over the cue ball is pushed to one side, and another game follows.

    Law: an impulse J changes the velocity by J / m (Newton 1687, Principia, law II) and leaves the spin; 5/7 of the
    change are left once the ball rolls again. All else is as in `collisions/billiards-v1`.

    {parameters}

    The first hit is the one that would come without the push; push_heading is the direction of the push from that of
    the cue ball, positive to its left. All else is as in `collisions/billiards-v1`.

    Camera: from straight above, 5.12 m wide; the table is 4.72 m wide. Actions: one impulse on the cue ball, at `push`.
    Hand-over: held until `release`, all rolling at 0, push in [0.05 s, 0.2 s], nothing is hit before 0.25 s, two balls
    meet by 2 s, horizon 4 s. Every ball gets a diameter away from where it was within 2 s; one that was not pushed is
    then a diameter away from where it would be without the push. Nothing leaves the table.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "collisions/billiards-push-v1"
    actions = True
    action_space = pushes(60.0)
    parameters = declare(
        **Billiards.parameters,
        push=Parameter("s", "visible", (0.05, 0.2), "time of the push on the cue ball", grid=0.05),
        impulse=Parameter("N s", "visible", (30.0, 60.0), "of the push"),
        push_heading=Parameter("rad", "visible", (1.0, 2.2), "direction of the push from the cue ball's", signed=True),
    )

    last = ("push", "impulse", "push_heading")

    def plays(self, p: Params) -> bool:
        """The push changes what follows for a ball that is not pushed, and what follows is lively and steady."""
        positions, velocities = start(p)
        there, pushed = self.pushed(p)
        times = [(CHANGED_BY - p["push"]) / 4 * k for k in range(1, 5)]
        paths, hits = play(p, there, pushed, times)
        meetings = [time + p["push"] for time, _, other in hits if other > CUSHION]
        if not meetings or hits[0][0] + p["push"] < BILLIARDS.first_hit or not gone(p, positions, paths):
            return False
        without, _ = play(p, positions, velocities, [CHANGED_BY])
        changed = max(map(math.dist, paths[-1][1:], without[0][1:]))
        return changed > 2 * p["radius"] and steady(p, there, pushed)

    def pushed(self, p: Params) -> Balls:
        """Centres m at the push and velocities m/s from then on, as of balls that roll; the cue ball slides first."""
        positions, velocities = start(p)
        there = [at(position, velocity, p["push"]) for position, velocity in zip(positions, velocities, strict=True)]
        mass = sphere_mass(p["radius"])
        jx, jy = self.impulse(p)
        cue, velocity = velocities[0], (velocities[0][0] + jx / mass, velocities[0][1] + jy / mass)
        there[0], rolling = rolls_on(p, there[0], velocity, cue)
        return there, [rolling, *velocities[1:]]

    def impulse(self, p: Params) -> Flat:
        """The push in N s."""
        angle = p["heading"] + p["push_heading"]
        return p["impulse"] * math.cos(angle), p["impulse"] * math.sin(angle)

    def scene(self, params: Params) -> Scene:
        scene = super().scene(params)
        cue = scene.bodies[0]
        push = f" Soon the {hue_name(cue.hue or 0)} ball is pushed to one side."
        return replace(
            scene,
            impulses=(Impulse(params["push"], cue.name, (*self.impulse(params), 0.0)),),
            prompt=scene.prompt.replace(" Static camera", f"{push} Static camera"),
            prompt_unpushed=scene.prompt,
            caption=scene.caption + push,
            caption_unpushed=scene.caption,
        )


class KeplerThrust(Kepler):
    """A planet on an ellipse is pushed along its path, and goes on another ellipse.

    What happens: a planet goes around a fixed star. After the hand-over it is pushed once, forwards or backwards along
    its path, and goes on another ellipse from there.

    Law: as in `orbits/kepler-v1`; an impulse J along the path changes the speed by J / m, so that the orbit's energy
    per mass, -mu / (2 a), changes by v J / m + (J / m)^2 / 2 (vis-viva: Newton 1687, Principia, book I).

    {parameters}

    The ellipse is that up to the push; impulse is positive forwards. All else is as in `orbits/kepler-v1`, but that the
    mass, density x volume, says how much a push does.

    Camera: from straight above, 5.12 m wide, no ground. Actions: one impulse on the planet, at `push`.
    Hand-over: in motion throughout, push in [0.3 s, 1.5 s], horizon 8 s, at least three periods of the first ellipse.
    Both ellipses are in view; star and planet are at least 0.08 m apart on both; the semi-major axis changes by at
    least 8 %.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "orbits/kepler-thrust-v1"
    actions = True
    action_space = pushes(40.0)
    parameters = declare(
        **Kepler.parameters,
        push=Parameter("s", "visible", (0.3, 1.5), "time of the push on the planet", grid=0.05),
        impulse=Parameter("N s", "visible", (10.0, 40.0), "of the push, forwards", signed=True),
    )

    def accepts(self, p: Params) -> bool:
        """Both ellipses in view and clear of the star, and not the same."""
        if not super().accepts(p):
            return False
        a, (ex, ey) = self.ellipse_after(p)
        e = math.hypot(ex, ey)
        if a <= 0 or abs(a / p["semi_axis"] - 1) < 0.08:  # of the semi-major axis, at least
            return False
        if a * (1 - e) < p["radius"] + p["star_radius"] + SURFACE_GAP:
            return False
        half = half_extents(a, math.sqrt(a * a * (1 - e * e)), (ex / e, ey / e))
        room = HALF_WINDOW - FREE_BORDER - p["radius"]
        return all(abs(s - a * w) + h <= room for s, w, h in zip(self.star_position(p), (ex, ey), half, strict=True))

    def ellipse_after(self, p: Params) -> tuple[float, Flat]:
        """Semi-major axis m and eccentricity, as a vector towards the periapsis, of the ellipse after the push."""
        (x, y), (vx, vy) = kepler_state(p, p["push"])
        change = self.velocity_change(p)
        vx, vy = vx + change[0], vy + change[1]
        r, square, along = math.hypot(x, y), vx * vx + vy * vy, x * vx + y * vy
        excess = square / p["mu"] - 1 / r
        return 1 / (2 / r - square / p["mu"]), (excess * x - along * vx / p["mu"], excess * y - along * vy / p["mu"])

    def velocity_change(self, p: Params) -> Flat:
        """Velocity that the push adds, m/s."""
        _, (vx, vy) = kepler_state(p, p["push"])
        scale = p["impulse"] / sphere_mass(p["radius"]) / math.hypot(vx, vy)
        return scale * vx, scale * vy

    def scene(self, params: Params) -> Scene:
        scene = super().scene(params)
        planet = scene.bodies[scene.index("planet")]
        jx, jy = (planet.mass * change for change in self.velocity_change(params))
        how = "forwards" if params["impulse"] > 0 else "backwards"
        return replace(
            scene,
            impulses=(Impulse(params["push"], "planet", (jx, jy, 0.0)),),
            prompt=f"A large {hue_name(params['hue_planet'])} planet orbits a small {hue_name(params['hue_star'])} "
            f"star under gravity; it is pushed {how} once and goes on another ellipse. Static camera.",
            prompt_unpushed=scene.prompt,
            caption=f"{scene.caption} Soon the planet is pushed {how} once.",
            caption_unpushed=scene.caption,
        )


WALL_FACE, WALL_HALF = 2.2, 0.15  # m, of the wall: its face from the middle of the window, half of its thickness
PUSHER_SIZE = (0.3, 0.62, 0.4)  # m, half extents of the pusher, the first along its way
MOTOR = 4.0  # m/s2, the acceleration of a pusher that nothing blocks
CLEAR = 0.15  # m between the ball that is left alone and all else


class Pusher(Task):
    """A pusher, which a motor drives as it is told, hits a ball or presses it against a wall; seen from straight above.

    What happens: a bar rests before a ball that rests, while another ball glides by at its side. From the hand-over on
    the bar is told to move towards the ball, after one or two seconds to go back, and a second later to stand. In half
    of the clips the ball lies in the open, is hit, rebounds from the wall and may be hit again; in the others it lies
    at the wall: the bar is told to go on, and cannot.

    Law: a motor changes the velocity of the bar towards the one that it is told with at most 4 m/s2, its force limited,
    so that a body at a wall stops it; conservation of momentum and Newton's law of restitution (Newton 1687, Principia,
    corollary III), for a bar that slides on rails without turning. Straight lines in between; no gravity, no friction,
    no spin, the table is only drawn.

    {parameters}

    Lengths are those of a scene whose wall is on the right, which is then turned by quarters of a turn. Nothing is read
    of room where the ball lies at the wall. Mass is density x volume.

    Camera: from straight above, 5.12 m wide. Actions: the velocity of the bar, told at 0, `back_at` and 1 s later.
    Hand-over: bar and ball at rest, the other ball in motion throughout; the bar meets the ball in [0.5 s, 1.7 s], in
    blocked clips 0.5 s before `back_at` or earlier; horizon 4 s. Nothing leaves the window, nor touches the other ball.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "collisions/pusher-v1"
    suite = "pusher"
    actions = True
    action_space = velocities(2.0)
    parameters = declare(
        restitution=Parameter.fixed(0.5, "", "of all"),
        friction=Parameter.fixed(0.0, "", "of all"),
        blocked=Parameter("", "visible", (0, 1), "1: the ball lies at the wall", grid=1),
        radius=Parameter("m", "visible", (0.40, 0.46), "of the ball", ood=(0.48, 0.52)),
        radius_other=Parameter("m", "visible", (0.40, 0.46), "of the other ball"),
        **hues("hue_pusher", "hue_ball", "hue_other"),
        quarter_turns=Parameter("", "visible", (0, 3), "of the scene, counter-clockwise", grid=1),
        gap=Parameter("m", "visible", (0.4, 1.1), "from the bar to the ball"),
        room=Parameter("m", "visible", (0.4, 1.2), "from the ball to the wall"),
        lane=Parameter("m", "visible", (-0.8, 0.0), "of the bar, upwards"),
        aside=Parameter("m", "visible", (-0.25, 0.25), "from there to the line of the ball"),
        lane_other=Parameter("m", "visible", (1.5, 2.0), "of the other ball, upwards"),
        middle_other=Parameter("m", "visible", (-0.6, 0.3), "where it is at 1 s, to the right"),
        speed_other=Parameter("m/s", "visible", (0.2, 0.5), "of the other ball, to the right", signed=True),
        speed=Parameter("m/s", "visible", (0.7, 1.1), "that the bar is told at 0", ood=(1.2, 1.4)),
        back_at=Parameter("s", "visible", (1.0, 2.0), "when the bar is told to go back", grid=1.0),
        speed_back=Parameter("m/s", "visible", (0.3, 0.7), "that it is told then"),
    )

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        blocked = float(rng.random() < 0.5)  # first: both are as frequent
        return draw(self.parameters, rng, split, lambda p: p["blocked"] == blocked and self.accepts(p))

    def accepts(self, p: Params) -> bool:
        """Different hues; the bar meets the ball in time and stays in view; the other ball is left alone, in view."""
        _, face = ball_and_face(p)
        last = p["back_at"] - 0.5 if p["blocked"] else 1.7  # s, for which a blocked one is told to go on, at least
        # The pusher meets the ball between 0.5 s and `last`
        if len({p["hue_pusher"], p["hue_ball"], p["hue_other"]}) < 3 or not 0.5 <= hit_time(p) <= last:
            return False
        reached = face + p["speed"] * p["back_at"]
        if not p["blocked"] and (hit_time(p) > p["back_at"] or reached > WALL_FACE - 2 * p["radius"] - CLEAR):
            return False
        ends = [p["middle_other"] + 3 * side * p["speed_other"] for side in (-1, 1)]
        reach = max(PUSHER_SIZE[1], abs(p["aside"]) + p["radius"])
        return (
            face - 2 * PUSHER_SIZE[0] >= -HALF_WINDOW + FREE_BORDER
            and min(ends) - p["radius_other"] >= -HALF_WINDOW + FREE_BORDER
            and max(ends) + p["radius_other"] <= WALL_FACE - CLEAR
            and p["lane_other"] + p["radius_other"] <= HALF_WINDOW - FREE_BORDER
            and p["lane"] + reach + CLEAR <= p["lane_other"] - p["radius_other"]
            and p["lane"] - reach >= -HALF_WINDOW + FREE_BORDER
        )

    def scene(self, p: Params) -> Scene:
        angle, bounce = p["quarter_turns"] * math.pi / 2, math.sqrt(p["restitution"])
        line, face = ball_and_face(p)
        turned, height = turned_from_top(angle), PUSHER_SIZE[2]
        bar = Body(
            "pusher",
            "box",
            PUSHER_SIZE,
            "moving",
            (*turn((face - PUSHER_SIZE[0], p["lane"]), angle), 0.0),
            turned,
            hue=int(p["hue_pusher"]),
            restitution=bounce,
            flat=True,
            turns=False,
        )
        centre = (*turn((line, p["lane"] + p["aside"]), angle), 0.0)
        struck = ball("ball", p["radius"], centre, p["hue_ball"], restitution=bounce)
        start = (p["middle_other"] - (HISTORY + 1) * p["speed_other"], p["lane_other"])
        other = ball(
            "other ball",
            p["radius_other"],
            (*turn(start, angle), 0.0),
            p["hue_other"],
            velocity=(*turn((p["speed_other"], 0.0), angle), 0.0),
            restitution=bounce,
        )
        place = (*turn((WALL_FACE + WALL_HALF, 0.0), angle), 0.0)
        end = wall("wall", (WALL_HALF, HALF_WINDOW, height), place, turned, restitution=bounce)
        speeds = ((0.0, p["speed"]), (p["back_at"], -p["speed_back"]), (p["back_at"] + 1, 0.0))
        commands = tuple(Command(time, (*turn((speed, 0.0), angle), 0.0)) for time, speed in speeds)
        names = {name: hue_name(p[f"hue_{name}"]) for name in ("pusher", "ball", "other")}
        balls = f"a {names['ball']} exercise ball and a grey wall. A {names['other']} ball glides over the floor."
        does = "presses it against a grey wall" if p["blocked"] else "hits it, so that it rebounds from a grey wall"
        return Scene(
            bodies=(bar, struck, other, table(), end),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            fields=(Drive("pusher", MOTOR * bar.mass, commands),),
            prompt=f"A {names['pusher']} bar moves towards a {names['ball']} ball on a frictionless table, {does} and "
            f"goes back, while a {names['other']} ball glides past. Static camera, seen from straight above.",
            prompt_unpushed=f"A {names['pusher']} bar stands before a {names['ball']} ball on a frictionless table "
            f"with a grey wall, while a {names['other']} ball glides past. Static camera, seen from straight above.",
            caption=f"A {names['pusher']} bar moves towards {balls}",
            caption_unpushed=f"A {names['pusher']} bar stands before {balls}",
        )


def turn(place: Flat, angle: float) -> Flat:
    """A place or velocity that is turned by a whole number of quarters of a turn, counter-clockwise; angle: rad."""
    cos, sin = round(math.cos(angle)), round(math.sin(angle))
    return cos * place[0] - sin * place[1], sin * place[0] + cos * place[1]


def ball_and_face(p: Params) -> Flat:
    """Places of the ball's middle and the bar's face at the hand-over, m towards the wall from the middle."""
    line = WALL_FACE - p["radius"] - (0.0 if p["blocked"] else p["room"])
    return line, line - p["radius"] - p["gap"]


def hit_time(p: Params) -> float:
    """Time in s at which the bar meets the ball, under a constant acceleration up to its speed."""
    return p["gap"] / p["speed"] + p["speed"] / (2 * MOTOR)


class Thruster(Task):
    """A ball with a thruster, which pushes it as it is told, another way in each second; seen from straight above.

    What happens: a ball rests in empty space. From the hand-over on its thruster pushes it for three seconds, each
    second in another direction with another force, and is off then. A grey bar, on the side away from which it pushes,
    is 1.5 cm long for each N. In half of the clips another ball glides by, which nothing touches.

    Law: F = m a (Newton 1687, Principia, law II): in each second a parabola, x(t) = x0 + v0 t + F t^2 / (2 m), and then
    a straight line. No gravity, no friction, no contact.

    {parameters}

    thrust_k and angle_k are force and direction in the second k. Nothing is read of the other ball where there is none.
    Mass is density x volume.

    Camera: from straight above, 5.12 m wide, no ground. Actions: the force of the thruster, told at 0, 1, 2 and 3 s.
    Hand-over: the ball rests until then, the other one is in motion throughout; horizon 4 s. Ball and bar stay 0.1 m
    within the window and away from the other ball; in the end the ball is a diameter away from where it was.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "orbits/thruster-v1"
    suite = "thrust"
    static_history = True
    actions = True
    action_space = forces(40.0)
    parameters = declare(
        other=Parameter("", "visible", (0, 1), "1: another ball glides by", grid=1),
        radius=Parameter("m", "visible", (0.40, 0.46), "of the ball", ood=(0.48, 0.52)),
        radius_other=Parameter("m", "visible", (0.40, 0.46), "of the other ball"),
        **hues("hue", "hue_other"),
        start_x=Parameter("m", "visible", (-1.5, 1.5), "of the ball, to the right"),
        start_y=Parameter("m", "visible", (-1.5, 1.5), "of the ball, upwards in the image"),
        **numbered(
            (1, 2, 3),
            thrust=Parameter("N", "visible", (12.0, 30.0), "in the {nth} second", ood=(31.0, 36.0)),
            angle=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of the push in the {nth} second"),
        ),
        middle_x=Parameter("m", "visible", (-1.5, 1.5), "of the other ball at 2 s, to the right"),
        middle_y=Parameter("m", "visible", (-1.5, 1.5), "of the other ball at 2 s, upwards in the image"),
        speed_other=Parameter("m/s", "visible", (0.2, 0.4), "of the other ball"),
        heading=Parameter("rad", "visible", (-3.1416, 3.1416), "of the other ball"),
    )
    evenly = "other"

    def accepts(self, p: Params) -> bool:
        """Different hues; ball, bar and other ball in view and apart; the ball ends elsewhere."""
        path_times = np.arange(0.0, 4.01, 0.1)  # s, at which the ways of a thruster and of another ball are checked
        path, tips = thruster_path(p, path_times), thruster_tips(p, path_times)
        thrust_border = 0.1  # m that stay free about the ball and the bar of its thruster
        room = HALF_WINDOW - thrust_border
        away = float(np.linalg.norm(path[-1] - path[0]))
        shown = np.abs(tips).max() <= room and np.abs(path).max() + p["radius"] <= room
        if p["hue"] == p["hue_other"] or not shown or away < 2 * p["radius"]:
            return False
        if not p["other"]:
            return True
        others = glided(p, np.append(path_times, -HISTORY))
        gap = min(np.linalg.norm(each - others[:-1], axis=-1).min() for each in (path, tips))
        clear = p["radius"] + p["radius_other"] + thrust_border
        started = np.linalg.norm(glided(p, np.linspace(-HISTORY, 0, 21)) - path[0], axis=-1).min()
        return bool(np.abs(others).max() + p["radius_other"] <= room and min(gap, started) > clear)

    def scene(self, p: Params) -> Scene:
        name = hue_name(p["hue"])
        bodies = [ball("ball", p["radius"], (p["start_x"], p["start_y"], 0.0), p["hue"])]
        beside = ""
        if p["other"]:
            (x, y), speed = glided(p, np.array([-HISTORY]))[0].tolist(), p["speed_other"]
            velocity = (speed * math.cos(p["heading"]), speed * math.sin(p["heading"]), 0.0)
            bodies.append(ball("other ball", p["radius_other"], (x, y, 0.0), p["hue_other"], velocity=velocity))
            beside = f", while a {hue_name(p['hue_other'])} ball glides past"
        burns = (*(Burn(float(k), (*force, 0.0)) for k, force in enumerate(thrusts(p))), Burn(3.0, (0.0, 0.0, 0.0)))
        return Scene(
            bodies=tuple(bodies),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            fields=(Thrust("ball", burns),),
            prompt=f"A {name} ball floats in empty space. A thruster, a grey bar on one side, pushes it away from that "
            f"side, each second another way{beside}. Static camera, seen from straight above.",
            prompt_unpushed=f"A {name} ball floats in empty space{beside}. Static camera, seen from straight above.",
            caption=f"A {name} ball floats in empty space{beside}. A thruster, a grey bar on one side, pushes it away "
            "from that side, each second another way.",
            caption_unpushed=f"A {name} ball floats in empty space{beside}.",
        )


def thrusts(p: Params) -> list[Flat]:
    """Forces in N in the three seconds."""
    polar = ((p[f"thrust_{k}"], p[f"angle_{k}"]) for k in (1, 2, 3))
    return [(force * math.cos(angle), force * math.sin(angle)) for force, angle in polar]


def thruster_path(p: Params, times: Array) -> Array:
    """Places (T, 2) m of the ball at `times` (T,) s from 0 on, in closed form."""
    place = np.tile([p["start_x"], p["start_y"]], (len(times), 1))
    for k, force in enumerate(thrusts(p)):
        pushed = np.clip(times - k, 0.0, 1.0)
        way = pushed**2 / 2 + np.maximum(times - k - 1.0, 0.0)  # m for 1 m/s2
        place = place + way[:, None] * np.array(force) / sphere_mass(p["radius"])
    return np.asarray(place)


def thruster_tips(p: Params, times: Array) -> Array:
    """Ends (T, 2) m of the bar of the thruster at `times` (T,) s; the ball's middle while it is off."""
    force = np.array([*thrusts(p), (0.0, 0.0)])[np.clip(times.astype(int), 0, 3)]  # (T, 2) N
    size = np.linalg.norm(force, axis=-1, keepdims=True)
    reach = np.where(size > 0, p["radius"] / np.maximum(size, 1e-9) + LINK.thrust_scale, 0.0)
    return np.asarray(thruster_path(p, times) - reach * force)


def glided(p: Params, times: Array) -> Array:
    """Places (T, 2) m of the other ball at `times` (T,) s."""
    ahead = np.array([math.cos(p["heading"]), math.sin(p["heading"])])
    return np.asarray(np.array([p["middle_x"], p["middle_y"]]) + (times - 2.0)[:, None] * p["speed_other"] * ahead)

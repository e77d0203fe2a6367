"""Film a thrown ball and some answers to it, for `physbench record`: python examples/film_a_ball.py FOLDER

Nothing here is physbench's: the ball moves by Newton's law, event by event; it is drawn by casting rays from a tilted
camera, through a lens that distorts, with noise, and encoded as H.264 4:2:0. FOLDER/recording.toml holds what a person
would read from the picture, to whole pixels; FOLDER/answers what a model might have made of the first half second.
"""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, FPS, FRAMES, TIME_ZERO = 848, 480, 30, 70, 14
RADIUS, GRAVITY, RESTITUTION, FRICTION = 0.11, 9.81, 0.75, 0.3
START = (-1.0, 0.75, 1.15, 1.5)  # x, z m; vx, vz m/s; no spin
EYE, TARGET, FOCAL = np.array([0.25, -2.6, 1.3]), np.array([0.05, 0.0, 0.62]), 1.35  # m; in half widths
DISTORTION, NOISE, SAMPLES = -0.06, 3.0, 2  # of the corner's distance; levels; rays a side of a px
LIGHT = np.array([-0.4, -0.55, 0.75]) / np.linalg.norm([-0.4, -0.55, 0.75])
POINTS = ((-1.2, 0.0), (1.2, 0.0), (1.2, 1.1), (-1.2, 1.1))  # m in the plane of motion: a frame of laths


def motion(times, gravity=GRAVITY, restitution=RESTITUTION, since=0.0):
    """Positions (T, 2) m. gravity, restitution: from `since` on, before that those above."""
    x, z, vx, vz = START
    spin, now, found = 0.0, 0.0, []
    for time in times:
        while now < time - 1e-12:
            g, e = (gravity, restitution) if now >= since - 1e-9 else (GRAVITY, RESTITUTION)
            until = time if now >= since - 1e-9 else min(time, since)
            fall = (vz + np.sqrt(max(vz**2 + 2 * g * (z - RADIUS), 0.0))) / g  # s to the floor
            dt = min(until - now, fall)
            x, z, vz, now = x + vx * dt, z + vz * dt - g * dt**2 / 2, vz - g * dt, now + dt
            if fall <= dt:
                z, hit = RADIUS, -vz
                slip = vx - spin
                push = np.sign(slip) * min(FRICTION * (1 + e) * hit, abs(slip) * 2 / 7)
                vx, spin, vz = vx - push, spin + 5 / 2 * push, e * hit if hit > 0.05 else 0.0
                if not vz:
                    now = max(now, min(until, now + 1e-3))
        found.append((x, z))
    return np.array(found)


def axes():
    ahead = (TARGET - EYE) / np.linalg.norm(TARGET - EYE)
    right = np.cross(ahead, (0, 0, 1)) / np.linalg.norm(np.cross(ahead, (0, 0, 1)))
    return ahead, right, np.cross(right, ahead)


def project(points):
    """World (..., 3) m -> picture (..., 2) px, through the lens."""
    ahead, right, up = axes()
    away = points - EYE
    flat = np.stack([away @ right, -(away @ up)], axis=-1) * FOCAL / (away @ ahead)[..., None]
    square = (flat**2).sum(axis=-1, keepdims=True) / (1 + (HEIGHT / WIDTH) ** 2)
    return flat * (1 + DISTORTION * square) * WIDTH / 2 + (WIDTH / 2, HEIGHT / 2)


def rays():
    """Unit vectors (H n, W n, 3) from the eye through n x n samples of each px."""
    ahead, right, up = axes()
    y, x = np.mgrid[0 : HEIGHT * SAMPLES, 0 : WIDTH * SAMPLES]
    seen = (np.stack([x, y], axis=-1) + 0.5) / SAMPLES / (WIDTH / 2) - (1, HEIGHT / WIDTH)
    flat = seen.copy()
    for _ in range(8):
        flat = seen / (1 + DISTORTION * (flat**2).sum(axis=-1, keepdims=True) / (1 + (HEIGHT / WIDTH) ** 2))
    found = FOCAL * ahead + flat[..., :1] * right - flat[..., 1:] * up
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def room(direction):
    """A floor and a wall (H n, W n, 3), with the points (H n, W n, 3) m that are seen: all that does not move."""
    floor, wall = -EYE[2] / np.minimum(direction[..., 2], -1e-9), (1.2 - EYE[1]) / direction[..., 1]
    on_floor = (floor < wall)[..., None]
    at = EYE + direction * np.minimum(floor, wall)[..., None]
    planks = np.array((0.42, 0.38, 0.34)) + 0.03 * np.sin(40 * at[..., 0] + 2 * np.sin(3 * at[..., 1]))[..., None]
    patches = np.array((0.62, 0.63, 0.66)) + 0.03 * (np.sin(9 * at[..., 0]) * np.sin(11 * at[..., 2]))[..., None]
    return np.where(on_floor, planks, patches), at


def draw(direction, room_colour, at, centre, ball=(0.05, 0.5, 0.42)):
    """A picture (H, W, 3) in levels; centre: (3,) m of the ball, or None."""
    colour = room_colour.copy()
    if centre is not None:
        rows, columns = near(direction[::8, ::8], at[::8, ::8], centre)
        part, ray = colour[rows, columns], direction[rows, columns]
        part *= (1 - 0.45 * shadow(at[rows, columns], centre))[..., None]
        towards = centre - EYE
        middle = ray @ towards
        inside = RADIUS**2 - (towards @ towards - middle**2)
        hit = inside > 0
        normal = (EYE + ray[hit] * (middle[hit] - np.sqrt(inside[hit]))[:, None] - centre) / RADIUS
        shine = 2 * (normal @ LIGHT)[:, None] * normal - LIGHT
        glint = np.clip(-(shine * ray[hit]).sum(-1), 0, 1) ** 30
        shade = 0.45 + 0.65 * np.clip(normal @ LIGHT, 0, 1)
        part[hit] = np.array(ball) * shade[:, None] + 0.25 * glint[:, None]
    light = np.clip(colour, 0, 1).reshape(HEIGHT, SAMPLES, WIDTH, SAMPLES, 3).mean(axis=(1, 3))
    return 255 * light ** (1 / 2.2)


def shadow(at, centre, wide=1.0):
    """Darkness (...) of a soft shadow of the ball at points (..., 3) m."""
    away = centre - at
    along = away @ LIGHT
    beside = np.linalg.norm(away - along[..., None] * LIGHT, axis=-1)
    return np.clip((wide * 1.15 * RADIUS - beside) / (0.3 * RADIUS), 0, 1) * (along > 0)


def near(direction, at, centre):
    """Rows and columns, by an eighth of them, that hold the ball and its shadow."""
    towards = centre - EYE
    seen = direction @ towards > np.sqrt(towards @ towards - (1.3 * RADIUS) ** 2)
    y, x = np.nonzero(seen | (shadow(at, centre, 1.5) > 0))
    return slice(max(8 * y.min() - 16, 0), 8 * y.max() + 24), slice(max(8 * x.min() - 16, 0), 8 * x.max() + 24)


def film(path, centres, seed=0):
    """Draw balls at centres (x, z) m, or None, and encode them."""
    rng, direction = np.random.default_rng(seed), rays()
    colour, at = room(direction)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt, stream.options = WIDTH, HEIGHT, "yuv420p", {"crf": "23"}
        for centre in centres:
            place = None if centre is None else np.array([centre[0], 0.0, centre[1]])
            levels = draw(direction, colour, at, place) + rng.normal(0, NOISE, (HEIGHT, WIDTH, 3))
            frame = av.VideoFrame.from_ndarray(np.clip(levels, 0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def main(folder):
    times = np.arange(FRAMES) / FPS
    zero, after = times[TIME_ZERO], slice(TIME_ZERO + 1, None)
    true = motion(times)
    answers = {
        "truth": true,
        "gravity-0.8": motion(times, gravity=0.8 * GRAVITY, since=zero),
        "restitution-0.7": motion(times, restitution=0.7 * RESTITUTION, since=zero),
        "teleport": true + np.where(times > zero + 0.6, RADIUS, 0.0)[:, None] * (1, 0),  # half a diameter
        "vanish": [None if t > zero + 0.6 else c for t, c in zip(times, true, strict=True)],
        "freeze": [true[TIME_ZERO]] * FRAMES,
    }
    (folder / "answers").mkdir(parents=True, exist_ok=True)
    print(f"Casting rays for {len(answers) + 1} films: one to three minutes on one core.", flush=True)
    film(folder / "ball.mp4", true)
    print(f"1 of {len(answers) + 1}: {folder / 'ball.mp4'}", flush=True)
    for seed, (name, centres) in enumerate(answers.items(), 1):
        film(folder / "answers" / f"{name}.mp4", centres[after], seed)
        print(f"{seed + 1} of {len(answers) + 1}: {folder / 'answers' / name}.mp4", flush=True)
    said = [f'video = "ball.mp4"\ntime_zero = {TIME_ZERO}\ngravity = {GRAVITY}\n']
    x, y = np.rint(project(np.array([true[16, 0], 0.0, 0.0])))
    said.append(f"floor_px = [{x:.0f}, {y:.0f}]\n")
    lath = np.linspace(-1.2, 1.2, 5)
    laths = (project(np.stack([lath, 0 * lath, 0 * lath + z], axis=-1)) for z in (POINTS[0][1], POINTS[2][1]))
    said.append(f"edges = {[np.rint(each).astype(int).tolist() for each in laths]}\n")
    for x, z in POINTS:
        u, v = np.rint(project(np.array([x, 0.0, z])))
        said.append(f"\n[[points]]\npx = [{u:.0f}, {v:.0f}]\nm = [{x}, {z}]\n")
    u, v = project(np.array([true[0, 0], 0.0, true[0, 1]]))
    reach = RADIUS * FOCAL * WIDTH / 2 / np.linalg.norm(np.array([true[0, 0], 0.0, true[0, 1]]) - EYE) + 2
    box = ", ".join(f"{side:.0f}" for side in (u - reach, v - reach, u + reach, v + reach))
    said.append(f'\n[[balls]]\nname = "ball"\nbox = [{box}]\n')
    (folder / "recording.toml").write_text("".join(said))
    print(f"Next: physbench record check {folder}, then: physbench record score {folder} {folder}/answers/*.mp4")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

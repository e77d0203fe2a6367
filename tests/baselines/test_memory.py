"""The memory: what it keeps of a clip, what it sees of a context, which clip it finds, and what it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from slow_cases import others_slow

from physbench.baselines.baseline_adapter import baseline_card
from physbench.baselines.memory import (
    Block,
    ClipIndex,
    Memory,
    MemoryTable,
    blocks_of,
    cut_objects,
    displaced,
    greys_seen,
    is_round,
    memory_rows,
    motion_at_handover,
    object_numbers,
    paired_squares,
    past_at,
    see_objects,
)
from physbench.baselines.recorded_motion import (
    GREY_SIDE,
    PAST_SAMPLES,
    UNIT,
    RecordedMotion,
    kick_numbers,
    read_motions,
    record_motion,
    write_motions,
)
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip
from physbench.support.errors import ModelError, PhysbenchError
from physbench.track.tracker import track
from physbench.world.scene import PALETTE, RenderSpec, sphere_mass

Clips = Callable[..., Clip]
CLIPS = 14  # one of each task
REMEMBERED = (
    "collisions/head-on-v1",
    "falling/projectile-v1",
    "occlusion/screen-lift-v1",
    "occlusion/screen-pass-v1",
    "orbits/kepler-v1",
    "orbits/kepler-thrust-v1",
)


class FewClips(MemoryTable):
    """The first training clip of some tasks, whatever is asked for."""

    def require(self, rows: Sequence[Row], arguments: str, workers: int) -> None:
        pass

    def read(self, rows: Sequence[Row]) -> Iterator[tuple[Row, RecordedMotion]]:
        return super().read([row for row in rows if row.task in REMEMBERED])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> MemoryTable:
    made = FewClips(tmp_path_factory.mktemp("memory"))
    made.ensure([Row(task, "train", 0) for task in REMEMBERED], workers=1)
    return made


def memory(table: MemoryTable, context: int = 8, **arguments: str) -> Memory:
    return Memory(baseline_card("memory", {"clips": str(CLIPS), "context": str(context), **arguments}), table)


def ask(model: Memory, clip: Clip, *, actions: bool = False, context: np.ndarray | None = None) -> np.ndarray:
    """The frames (horizon, H, W, 3) that follow the context of a clip."""
    shown = clip.context(model.card.context_frames) if context is None else context
    frames = torch.from_numpy(shown.copy()).permute(0, 3, 1, 2)[None].float() / 255
    table = clip.actions(model.card.context_frames) if actions else None
    given = None if table is None else torch.from_numpy(table)[None]
    parts = list(model.rollout(frames, horizon=clip.horizon, actions=given, prompts=[""], generators=[]))
    answer = torch.cat(parts, 1)
    assert answer.shape == (1, clip.horizon, 3, clip.spec.height, clip.spec.width)
    assert answer.min() >= 0 and answer.max() <= 1
    return (answer[0].permute(0, 2, 3, 1).numpy() * 255 + 0.5).astype(np.uint8)


def misplaced(clip: Clip, context: int, answer: np.ndarray) -> np.ndarray:
    """How far the objects of an answer are from the truth (horizon, K) px, as the tracker sees both; NaN if hidden."""
    seen = clip.context(context)
    told, true = (track(clip, context, np.concatenate([seen, frames])) for frames in (answer, clip.future()))
    return np.linalg.norm(told.position - true.position, axis=-1)[context:]


@pytest.mark.parametrize(
    ("task", "context"),
    others_slow(
        [
            ("collisions/head-on-v1", 8),
            ("falling/projectile-v1", 1),
            ("falling/projectile-v1", 31),
            ("occlusion/screen-lift-v1", 8),
            ("occlusion/screen-pass-v1", 8),
            ("orbits/kepler-v1", 8),
        ],
        3,
    ),
)
def test_a_clip_that_is_remembered_has_its_true_future(
    clip_of: Clips, table: MemoryTable, task: str, context: int
) -> None:
    clip = clip_of(task, "train")
    answer = ask(memory(table, context), clip)
    error = misplaced(clip, context, answer)
    assert np.isfinite(error).sum() > clip.horizon / 3
    assert np.nanmedian(error) < 0.1 and np.nanquantile(error, 0.95) < 0.6  # px; a body's radius is 5 of them
    assert np.abs(answer.astype(int) - clip.future()).mean() < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("task", ["falling/projectile-v1", "occlusion/screen-pass-v1", "orbits/kepler-v1"])
def test_it_sees_and_draws_the_natural_look(table: MemoryTable, task: str) -> None:
    """Wood, bricks and a blue sky are no objects, and shadows no screens."""
    for package in ("mitsuba", "mitsuba_oidn"):
        pytest.importorskip(package)
    lit = make_clip(Row(task, "train", 0), RenderSpec(128, 128, 8.0, "natural"))
    _, front, sprites = cut_objects(lit.context(8).astype(np.float32) / 255)
    assert len(sprites) == len(lit.scene.tracked) and front.any() == task.startswith("occlusion")
    answer = ask(memory(table, 8, size="128", fps="8"), lit)
    assert np.nanmedian(misplaced(lit, 8, answer)) < 1  # px; a body's radius is 10 of them


def test_a_push_is_compared_too(clip_of: Clips, table: MemoryTable) -> None:
    clip = clip_of("orbits/kepler-thrust-v1", "train")
    model = memory(table)
    pushed = ask(model, clip, actions=True)
    assert np.nanmedian(misplaced(clip, 8, pushed)) < 0.2
    assert (pushed != ask(model, clip)).any()  # without its push it is another clip, of the tasks without


def test_it_answers_the_same_each_time_and_in_every_batch(clip_of: Clips, table: MemoryTable) -> None:
    model = memory(table)
    clips = [clip_of("collisions/head-on-v1", seed=1), clip_of("falling/projectile-v1")]
    frames = torch.from_numpy(np.stack([clip.context(8) for clip in clips])).permute(0, 1, 4, 2, 3).float() / 255
    both = torch.cat(list(model.rollout(frames, horizon=20, actions=None, prompts=["", ""], generators=[])), 1)
    for one, alone in zip(both, frames, strict=True):
        again = memory(table).rollout(alone[None], horizon=20, actions=None, prompts=[""], generators=[])
        assert torch.equal(torch.cat(list(again), 1)[0], one)


def test_a_ball_that_has_gone_behind_a_screen_stays_there_and_comes_out(clip_of: Clips, table: MemoryTable) -> None:
    clip = clip_of("occlusion/screen-pass-v1", "train")
    hidden = np.flatnonzero(clip.visible_share()[:, 0] < 0.01)
    last = int(hidden[hidden > clip.handover][0])
    context = clip.frames[last - 15 : last + 1]
    answer = ask(memory(table, 16), clip, context=context)

    def coloured(frames: np.ndarray) -> np.ndarray:
        return (np.ptp(frames.astype(int), axis=-1) > 60).sum((1, 2))

    assert coloured(context)[0] > 50 and coloured(context)[-1] == 0
    assert coloured(answer)[0] == 0 and coloured(answer).max() > 50


def test_pictures_that_no_clip_is_like(clip_of: Clips, table: MemoryTable) -> None:
    model, clip = memory(table), clip_of("collisions/head-on-v1")
    nothing = np.full((8, 64, 64, 3), 128, dtype=np.uint8)
    assert (ask(model, clip, context=nothing) == 128).all()
    crowd = nothing.copy()
    for n, colour in enumerate(PALETTE):
        crowd[:, 10:20, 3 + 12 * n : 13 + 12 * n] = np.round(np.array(colour) * 255)
    with pytest.raises(ModelError, match=r"shows 5 coloured objects.*have 1, 2.*cannot answer for other tasks"):
        ask(model, clip, context=crowd)


@pytest.mark.parametrize(
    ("task", "fps", "size"), [("collisions/head-on-v1", 24.0, 96), ("falling/incline-v1", 60.0, 64)]
)
def test_what_it_sees_is_what_is_there(clip_of: Clips, task: str, fps: float, size: int) -> None:
    clip = clip_of(task, "train", size=size, fps=fps)
    kept = record_motion(clip.row)
    frames = clip.context(8)
    background, _, sprites = cut_objects(frames.astype(np.float32) / 255)
    seen = see_objects(frames, sprites, fps)
    order = [[body.hue for body in clip.tracked_bodies].index(hue) for hue in seen.hues]
    true = past_at(kept, (np.arange(8) - 7) / fps)[:, order]
    assert np.abs(seen.position - true).max() < 0.012  # m, a seventh of a pixel
    np.testing.assert_allclose(seen.radius, kept.radius[order], rtol=0.05)
    assert np.abs(greys_seen(background) - kept.greys).mean() < 1.0  # of 255


def test_discs_are_round_and_boxes_are_not() -> None:
    y, x = np.mgrid[:31, :31] - 15.0
    assert is_round(x**2 + y**2 < 6.3**2)
    for angle in (0.0, 0.4, np.pi / 4):
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        assert not is_round((np.abs(u) < 5.5) & (np.abs(v) < 5.5))
        assert not is_round((np.abs(u) < 8) & (np.abs(v) < 4))


def test_motion_at_the_handover_is_that_of_a_parabola() -> None:
    times = (np.arange(8) - 7) / 15
    place, velocity, pull = np.array([1.0, -0.5]), np.array([0.3, 2.0]), np.array([0.0, 9.81])
    track_ = place + velocity * times[:, None] + pull * times[:, None] ** 2 / 2
    tracks = np.stack([track_, track_], axis=1)
    tracks[:3, 1] = np.nan
    for found in motion_at_handover(times, tracks):
        np.testing.assert_allclose(found, [*place, *velocity, *pull], atol=1e-9)
    (two,) = motion_at_handover(times[-2:], track_[-2:, None])
    np.testing.assert_allclose(two, [*track_[-1], *(np.diff(track_[-2:], axis=0)[0] * 15), 0, 0], atol=1e-9)
    (one,) = motion_at_handover(times[-1:], track_[-1:, None])
    np.testing.assert_allclose(one, [*place, 0, 0, 0, 0])
    assert np.isnan(motion_at_handover(times, np.full((8, 1, 2), np.nan))).all()


def test_displacements_between_and_after_the_samples() -> None:
    seconds = np.arange(1, 241) / 60
    ways = np.stack([np.stack([2 * seconds, 9.81 * seconds**2 / 2], axis=-1)])
    times = np.array([1 / 60, 0.37, 1.0, 3.0, 4.5])
    found = displaced(ways, times)[0]
    np.testing.assert_allclose(found[:, 0], 2 * times, atol=1e-9)
    np.testing.assert_allclose(found[:4, 1], 9.81 * times[:4] ** 2 / 2, atol=9.81 / 60**2 / 8 + 1e-9)
    speed = 60 * (ways[0, -1, 1] - ways[0, -2, 1])
    assert found[4, 1] == pytest.approx(ways[0, -1, 1] + speed * 0.5)  # straight on


def test_objects_are_paired_as_they_fit_best() -> None:
    rng = np.random.default_rng(0)
    clips, objects = rng.normal(size=(6, 3, 5)), rng.normal(size=(3, 5))
    square, order = paired_squares(clips, objects)
    for n, clip in enumerate(clips):
        sums = {p: ((clip[list(p)] - objects) ** 2).sum() for p in permutations(range(3))}
        assert square[n] == pytest.approx(min(sums.values())) and order[n] == min(sums, key=lambda p: sums[p])


def random_motion(rng: np.random.Generator, objects: int, plates: int = 0) -> RecordedMotion:
    return RecordedMotion(
        rng.uniform(0.4, 0.6, objects),
        rng.uniform(-2.5, 2.5, (objects, PAST_SAMPLES, 2)),
        rng.uniform(-6, 6, (objects, 240, 2)),
        rng.uniform(-6, 6, (plates, 240, 2)),
        rng.normal(size=(objects, 6)),
        rng.integers(0, 255, (GREY_SIDE, GREY_SIDE)).astype(np.uint8),
    )


def test_the_nearest_of_many_is_the_one_of_least_distance() -> None:
    rng, times = np.random.default_rng(1), np.array([-1 / 15, 0.0])
    motions = [random_motion(rng, 2) for _ in range(50)]
    index = ClipIndex([*motions, random_motion(rng, 1)], times)
    for wanted in (3, 31):
        own = motions[wanted]
        moving = motion_at_handover(times, past_at(own, times))[::-1]  # the other one first
        found = index.nearest(object_numbers(moving, own.radius[::-1], own.kicks[::-1]), own.greys)
        assert found.motion is own and found.order == (1, 0) and found.distance == pytest.approx(0, abs=1e-6)
        pushed = replace(own, kicks=own.kicks + np.array([5.0, 0, 0, 0, 0, 0]))
        numbers = object_numbers(moving, own.radius[::-1], pushed.kicks[::-1])
        assert ClipIndex([*motions, pushed], times).nearest(numbers, own.greys).motion is pushed


def test_two_moments_of_a_push() -> None:
    radius, impulse = 0.5, np.array([[10.0, 0.0, -5.0], [0.0, 2.0, 0.0]])
    found = kick_numbers(impulse, np.array([0.5, 1.0]), radius)
    np.testing.assert_allclose(found * sphere_mass(radius), [10, 2, -5, 5, 2, -2.5])
    assert not kick_numbers(np.zeros((0, 3)), np.zeros(0), radius).any()


def test_files_hold_what_was_written(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(2), tmp_path / "deep" / "motions.npz"
    motions = [random_motion(rng, 2), random_motion(rng, 1, plates=1), random_motion(rng, 3)]
    write_motions(path, motions)
    for kept, told in zip(motions, read_motions(path), strict=True):
        for name in ("past", "future", "plates"):
            np.testing.assert_allclose(getattr(told, name), getattr(kept, name), atol=UNIT / 2 + 1e-9)
        np.testing.assert_allclose(told.kicks, kept.kicks, rtol=1e-6)
        np.testing.assert_array_equal(told.greys, kept.greys)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PhysbenchError, match="is damaged"):
        read_motions(path)


def test_a_table_is_made_once_and_what_is_missing_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def remember(row: Row) -> RecordedMotion:
        made.append(row.id)
        return random_motion(np.random.default_rng(row.seed), 1)

    monkeypatch.setattr("physbench.baselines.memory.record_motion", remember)
    table, rows = MemoryTable(tmp_path), memory_rows(28)
    assert table.ensure(rows, workers=1) == 28 == len(made)
    assert table.ensure(rows, workers=1) == 0 and len(made) == 28
    assert [row for row, _ in table.read(rows)] == list(rows)
    table.path(Block("falling/stack-v1", 0, 2)).write_bytes(b"no file of arrays")
    assert table.ensure(rows, workers=1) == 2
    assert table.ensure(memory_rows(56), workers=1) == 56  # longer files
    assert [motion.radius[0] for _, motion in table.read(rows)] == [
        pytest.approx(random_motion(np.random.default_rng(row.seed), 1).radius[0]) for row in rows
    ]
    with pytest.raises(ModelError, match=r"python -m physbench.baselines.memory 15000"):
        table.require(memory_rows(15000), "15000", workers=1)


def test_a_memory_holds_clips_of_the_train_split_alone() -> None:
    small, large = memory_rows(150), memory_rows(1500)
    assert len(small) == 150 and len(large) == 1500 and set(small) < set(large)
    assert {row.split for row in large} == {"train"} and len({row.task for row in small}) == 14
    pushed = memory_rows(1500, pushed=True)
    assert len(pushed) == 321 and not {row.task for row in pushed} & {row.task for row in large}
    assert sum(block.count for block in blocks_of(large)) == 1500


def test_its_card_states_how_many_clips_it_holds() -> None:
    card = baseline_card("memory", {})
    assert (card.training_clips, card.track, card.uses_actions) == (1500, "trained", True)
    assert baseline_card("memory", {"clips": "150"}).training_clips == 150
    for name, arguments, words in (
        ("memory", {"clips": "0"}, "training_clips of at least 1"),
        ("memory", {"clips": "many"}, "expected a whole number"),
        ("freeze", {"clips": "150"}, "no argument of that name"),
    ):
        with pytest.raises(ModelError, match=words):
            baseline_card(name, arguments)

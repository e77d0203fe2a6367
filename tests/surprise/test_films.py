"""Films are the same until the event; surprise at them: what models are asked, and shortcuts that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip
from physbench.clips.video import h264, round_trip
from physbench.models.protocol import ModelCard, SurpriseCard, check_contract
from physbench.result.document import PairShare
from physbench.rollout.in_process import InProcessEngine
from physbench.support.errors import ModelError, UsageError
from physbench.surprise.ask import ClipSurprise, observer_of, read_pair
from physbench.surprise.clip_films import PIXEL_BASELINES, ClipFilms, frame_difference, pixel_series
from physbench.surprise.films import (
    BACK_AGAIN,
    OTHER_LOOK,
    POSSIBLE,
    Image,
    WindowGrid,
    film_of,
    first_difference,
    window_clip,
    window_grid,
)
from physbench.surprise.pairs import FilmPair, find_pairs
from physbench.surprise.readings import over_kinds
from physbench.validity.violations import Inapplicable
from physbench.world.scene import RenderSpec

SPEC = RenderSpec(32, 32, 10.0)


@pytest.fixture(scope="module")
def hidden_clip() -> Clip:
    return make_clip(Row("occlusion/screen-pass-v1", "test", 0), SPEC)


@pytest.fixture(scope="module")
def thrown_clip() -> Clip:
    return make_clip(Row("falling/projectile-v1", "test", 0), SPEC)


@pytest.mark.slow
def test_every_frame_of_a_quadruple_is_as_often_possible_as_impossible(hidden_clip: Clip) -> None:
    name = "return-hue:90"
    aa, ab, bb, ba = (
        film_of(hidden_clip, source, 4).frames for source in (POSSIBLE, name, name + OTHER_LOOK, name + BACK_AGAIN)
    )
    change = first_difference(aa, ab)
    assert hidden_clip.handover < change < len(aa)
    for t in range(len(aa)):  # what a film shows at t is one of two looks: both are in a possible and an impossible one
        same, other = (aa[t], bb[t]), (ab[t], ba[t])
        assert (np.array_equal(same[0], other[0]) and np.array_equal(same[1], other[1])) or (
            np.array_equal(same[0], other[1]) and np.array_equal(same[1], other[0])
        )
    assert not np.array_equal(aa[0], bb[0]) and np.array_equal(ba[0], bb[0]) and np.array_equal(ba[-1], aa[-1])
    assert first_difference(bb, ba) == change


def test_only_a_change_of_look_has_a_second_order(thrown_clip: Clip) -> None:
    with pytest.raises(Inapplicable, match="second order"):
        film_of(thrown_clip, "teleport:0.4" + BACK_AGAIN, 4)


@pytest.mark.parametrize("source", ["teleport:0.4", "gravity:0.5", "hue:90", "stranger-near", "flicker:10"])
def test_films_are_the_same_until_the_event(thrown_clip: Clip, source: str) -> None:
    film = film_of(thrown_clip, source, 4)
    first = first_difference(film.frames, thrown_clip.frames)
    event = next((p.event for p in find_pairs() if p.row == thrown_clip.row and p.impossible == source), 0.0)
    assert film.frames.shape == thrown_clip.frames.shape and first < len(film.frames)
    assert thrown_clip.times[first] > event - 1e-9 and first > thrown_clip.handover


def test_equal_films_never_differ(thrown_clip: Clip) -> None:
    assert first_difference(thrown_clip.frames, thrown_clip.frames.copy()) == len(thrown_clip.frames)


CONTEXT = 4


class Repeats:
    """Repeats the last frame; adds noise of `noise` from its generators."""

    def __init__(self, noise: float = 0.0, broken: bool = False) -> None:
        self.card = ModelCard("repeats", (32, 32), 10, CONTEXT, stochastic=noise > 0)
        self.noise, self.broken = noise, broken
        self.windows = 0

    def rollout(
        self,
        context: Tensor,
        *,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        self.windows += len(context)
        frames = context[:, -1:].repeat(1, horizon, 1, 1, 1)
        if self.noise:
            drawn = torch.stack([torch.randn(frames.shape[1:], generator=g) for g in generators])
            frames = (frames + self.noise * drawn).clamp(0, 1)
        if self.broken:
            frames[:, -1] = torch.nan
        return frames


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(Row("falling/projectile-v1", "test", 0), SPEC)


def films_of(clip: Clip, at: int) -> ClipFilms:
    """The clip, and the same with another picture from frame `at` on."""
    changed = clip.frames.copy()
    changed[at:] = 255 - changed[at:]
    grid = window_grid(clip, CONTEXT)
    films = {POSSIBLE: clip.frames, "changed": changed}
    return ClipFilms(clip, grid, grid, films, {POSSIBLE: (POSSIBLE, 0), "changed": (POSSIBLE, at)}, {})


def surprise(model: Repeats, films: ClipFilms, samples: int = 1, batch: int = 7) -> ClipSurprise:
    with InProcessEngine(model) as engine:
        return observer_of(engine.card).ask(engine, films, batch, samples)


def test_the_error_of_a_frozen_frame_is_what_the_pixel_baseline_has(clip: Clip) -> None:
    films = films_of(clip, 40)
    found = surprise(Repeats(), films)
    expected = pixel_series(clip.frames, films.grid)["frozen frame"]
    np.testing.assert_allclose(found.films[POSSIBLE], expected, atol=1e-9)
    assert np.all(np.diff(found.times) > 0) and found.failures == {}


@pytest.mark.parametrize("at", [25, 33])
def test_altering_frames_after_t_alters_no_surprise_up_to_t(clip: Clip, at: int) -> None:
    """All windows are asked anew: that shared ones are not asked twice is no part of this."""
    films = films_of(clip, at)
    alone = replace(films, before={POSSIBLE: (POSSIBLE, 0), "changed": ("changed", 0)})
    found = surprise(Repeats(), alone)
    before = found.times < clip.times[at] - 1e-9
    np.testing.assert_array_equal(found.films[POSSIBLE][before], found.films["changed"][before])
    assert (found.films[POSSIBLE] != found.films["changed"])[~before].any()


@pytest.mark.parametrize("name", list(PIXEL_BASELINES))
def test_no_pixel_baseline_knows_what_comes_either(clip: Clip, name: str) -> None:
    films, at = films_of(clip, 33), 33
    last = int(np.flatnonzero(films.grid.ends < at)[-1])  # the last window that ends before the frames that are altered
    before, after = (
        [PIXEL_BASELINES[name](frames, films.grid, number) for frames in films.films.values()]
        for number in (last, last + 1)
    )
    assert before[0] == before[1] and after[0] != after[1]


def test_shared_windows_are_asked_once_and_give_the_same(clip: Clip) -> None:
    films = films_of(clip, 40)
    alone = replace(films, before={POSSIBLE: (POSSIBLE, 0), "changed": ("changed", 0)})
    shared, whole = Repeats(), Repeats()
    one, other = surprise(shared, films), surprise(whole, alone)
    for name in films.films:
        np.testing.assert_array_equal(one.films[name], other.films[name])
    assert shared.windows < 0.75 * whole.windows


def test_the_order_in_which_films_are_shown_changes_nothing(clip: Clip) -> None:
    """The impossible film first, and its windows taken over by the possible one."""
    films = films_of(clip, 40)
    swapped = replace(
        films,
        films=dict(reversed(films.films.items())),
        before={"changed": ("changed", 0), POSSIBLE: ("changed", 40)},
    )
    one, other = surprise(Repeats(noise=0.1), films), surprise(Repeats(noise=0.1), swapped)
    for name in films.films:
        np.testing.assert_array_equal(one.films[name], other.films[name])
    found, again = stated("right", films), stated("right", swapped)
    for name in films.films:
        np.testing.assert_array_equal(found.films[name], again.films[name])
    pair = FilmPair(clip.row, "vanish", 1.0, float(clip.times[39]), None, POSSIBLE, "changed")
    turned = replace(pair, possible="changed", impossible=POSSIBLE)
    right, wrong = (read_pair(each, one.films, one.times).right for each in (pair, turned))
    assert {right, wrong} == {0.0, 1.0}, "labels that are turned turn the choice"


@pytest.mark.slow
def test_samples_are_averaged_and_both_films_get_the_same_random_numbers(clip: Clip) -> None:
    films = films_of(clip, 40)
    alone = replace(films, before={POSSIBLE: (POSSIBLE, 0), "changed": ("changed", 0)})
    found = surprise(Repeats(noise=0.1), alone, samples=3)
    before = found.times < clip.times[40] - 1e-9
    np.testing.assert_array_equal(found.films[POSSIBLE][before], found.films["changed"][before])
    one = surprise(Repeats(noise=0.1), alone)
    assert not np.array_equal(found.films[POSSIBLE], one.films[POSSIBLE])
    assert np.std(found.films[POSSIBLE] - surprise(Repeats(), alone).films[POSSIBLE]) < 0.005


def test_a_model_that_returns_nan_fails_with_its_reason(clip: Clip) -> None:
    found = surprise(Repeats(broken=True), films_of(clip, 40))
    assert set(found.failures) == {POSSIBLE, "changed"} and "NaN" in found.failures[POSSIBLE]
    assert np.isnan(found.films[POSSIBLE]).all()


def test_a_window_is_a_clip_whose_hand_over_is_the_last_frame_shown(clip: Clip) -> None:
    grid = window_grid(clip, CONTEXT)
    assert clip.handover in grid.starts and (np.diff(grid.starts) == 1).all() and grid.ahead == 2
    for number in (0, len(grid.starts) - 1):
        window = window_clip(clip, grid, number)
        assert window.horizon == 2 and window.handover == CONTEXT - 1
        np.testing.assert_array_equal(window.context(CONTEXT)[-1], clip.frames[grid.starts[number]])
        np.testing.assert_allclose(window.times[-1] + clip.times[grid.starts[number]], grid.times[number])


def test_a_context_longer_than_the_film_is_refused_in_a_line(clip: Clip) -> None:
    with pytest.raises(UsageError, match="shorter context") as refused:
        window_grid(clip, len(clip.times))
    assert "\n" not in str(refused.value)


def test_a_model_sees_back_as_far_as_its_context() -> None:
    assert ModelCard("one", (32, 32), 10, 5).sight == pytest.approx(0.5)
    assert ModelCard("padded", (32, 32), 10, 50, repeat_first=True).sight == pytest.approx(2.1)


def test_films_that_differ_are_found(clip: Clip) -> None:
    films = films_of(clip, 33)
    assert first_difference(*films.films.values()) == 33


class Differences:
    """Answers with surprise itself: how much each frame differs from the one before it, or from the one after it."""

    def __init__(self, answer: str = "right") -> None:
        self.card = SurpriseCard("differences", (32, 32), 10, CONTEXT, unit="squared difference")
        self.answer = answer

    def surprise(
        self,
        video: Tensor,
        *,
        context: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        assert context == CONTEXT
        change = (video[:, 1:] - video[:, :-1]).square().mean((2, 3, 4))
        first = torch.zeros(len(video), 1)
        match self.answer:
            case "ahead":
                return torch.cat([change, first], 1)
            case "one":
                return change.mean(1)
            case "short":
                return change
            case "nan":
                return torch.full(video.shape[:2], torch.nan)
            case _:
                return torch.cat([first, change], 1)


def stated(answer: str, films: ClipFilms) -> ClipSurprise:
    with InProcessEngine(Differences(answer)) as engine:
        return observer_of(engine.card).ask(engine, films, 2, 1)


def test_surprise_that_a_model_states_is_that_of_each_frame(clip: Clip) -> None:
    films = films_of(clip, 40)
    found = stated("right", films)
    expected = ((clip.frames[1:] / 255 - clip.frames[:-1] / 255) ** 2).mean((1, 2, 3))
    at = np.searchsorted(clip.times, found.times)
    np.testing.assert_allclose(found.films[POSSIBLE], expected[at - 1], atol=1e-7)
    assert found.times[-1] == clip.times[-1] and found.times[0] < 0
    before = found.times < clip.times[40] - 1e-9
    np.testing.assert_array_equal(found.films[POSSIBLE][before], found.films["changed"][before])
    assert found.films["changed"][~before][0] > 2 * found.films[POSSIBLE][~before][0]


def test_a_model_that_sees_what_comes_is_found_out(clip: Clip) -> None:
    films = films_of(clip, 40)
    pair = FilmPair(clip.row, "vanish", 1.0, float(clip.times[39]), None, POSSIBLE, "changed")
    for answer, ahead in (("right", False), ("ahead", True)):
        found = stated(answer, films)
        assert (read_pair(pair, found.films, found.times).ahead > 1e-3) == ahead


@pytest.mark.parametrize(
    ("answer", "words"), [("one", "one number a film"), ("short", "give every frame one"), ("nan", "is nan")]
)
def test_a_wrong_answer_fails_its_films_in_a_line(clip: Clip, answer: str, words: str) -> None:
    found = stated(answer, films_of(clip, 40))
    assert set(found.failures) == {POSSIBLE, "changed"}
    assert all(words in reason and "\n" not in reason for reason in found.failures.values())


def test_a_film_too_short_for_a_context_of_surprise_is_refused_in_a_line(clip: Clip) -> None:
    model = Differences()
    model.card = replace(model.card, context_frames=len(clip.times), repeat_first=True)
    with pytest.raises(UsageError, match="shorter context"), InProcessEngine(model) as engine:
        observer_of(engine.card).ask(engine, films_of(clip, 40), 2, 1)


def test_a_card_and_a_method_of_surprise_belong_together() -> None:
    model = Repeats()
    model.card = SurpriseCard("repeats", (32, 32), 10, CONTEXT)
    with pytest.raises(ModelError, match="needs a method `surprise`"):
        check_contract(model, "mine.py:make")
    other = Differences()
    other.card = ModelCard("differences", (32, 32), 10, CONTEXT)  # type: ignore[assignment]
    with pytest.raises(ModelError, match="SurpriseCard"):
        check_contract(other, "mine.py:make")
    silent = Differences()
    silent.card = SurpriseCard("differences", (32, 32), 10, CONTEXT, unit="")
    with pytest.raises(ModelError, match="unit"):
        check_contract(silent, "mine.py:make")


def test_a_model_of_surprise_sees_the_whole_film() -> None:
    assert Differences().card.sight == np.inf


SHARP_SPEC = RenderSpec(64, 64, 10.0)
CLIPS, KINDS = 4, ("teleport", "gravity")
CAST = np.array([1.0, 0.92, 0.8])  # of red, green and blue: evening light
Films = list[tuple[FilmPair, Image, Image, WindowGrid]]


@pytest.fixture(scope="module")
def films() -> Films:
    """Pairs of jumps and of wrong gravity of some clips, with both films and the times of their frames."""
    pairs = [pair for pair in find_pairs(None, ",".join(KINDS)) if not pair.control]
    rows = list(dict.fromkeys(pair.row for pair in pairs))[:CLIPS]
    found = []
    for row in rows:
        clip = make_clip(row, SHARP_SPEC)
        for pair in pairs:
            if pair.row == row and pair.size in (0.1, 1.6, 0.75, -1.0):
                found.append((pair, clip, film_of(clip, pair.impossible, CONTEXT).frames))
    return [(pair, clip.frames, other, window_grid(clip, CONTEXT)) for pair, clip, other in found]


def told_apart(films: Films, style: Callable[[Image], Image]) -> PairShare:
    """How many of the pairs an observer tells apart that is surprised by each change of a frame."""
    known: dict[int, np.ndarray] = {}
    readings = []
    for pair, one, other, grid in films:
        for frames in (one, other):
            if id(frames) not in known:
                shown = style(frames)
                known[id(frames)] = np.array(
                    [frame_difference(shown, grid, number) for number in range(len(grid.starts))]
                )
        series = {POSSIBLE: known[id(one)], pair.impossible: known[id(other)]}
        readings.append(read_pair(pair, series, grid.times))
    return over_kinds(readings)


def through_h264(frames: Image) -> Image:
    return round_trip(frames, SHARP_SPEC.fps, h264(23))


def evening(frames: Image) -> Image:
    return np.rint(frames * CAST).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("style", [through_h264, evening])
def test_a_codec_and_a_colour_cast_change_nothing_beyond_the_interval(films: Films, style) -> None:
    plain, styled = told_apart(films, lambda frames: frames), told_apart(films, style)
    assert plain.accuracy is not None and styled.accuracy is not None
    assert plain.interval is not None and styled.interval is not None
    assert plain.pairs == styled.pairs >= 8 and plain.accuracy > 0.5
    assert plain.interval[0] <= styled.accuracy <= plain.interval[1]
    assert styled.interval[0] <= plain.accuracy <= styled.interval[1]

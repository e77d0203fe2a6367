"""What pixel baselines solve is fixed for a suite, and does not depend on what a run shows."""

from __future__ import annotations

import json

import pytest

from physbench.clips.clip import Row
from physbench.surprise import readings as module
from physbench.surprise.ask import PairReading
from physbench.surprise.pairs import IMPOSSIBLE_KINDS, FilmPair
from physbench.surprise.readings import expectation_result, solved_sizes
from physbench.world.scene import RenderSpec


def readings(clips: int, notices: float) -> list[PairReading]:
    """Jumps of all sizes on some clips, of which those from a size on are noticed."""
    pairs = [
        FilmPair(Row("falling/projectile-v1", "test", seed), "teleport", size, 1.0, None, "truth", f"teleport:{size:g}")
        for seed in range(clips)
        for size in IMPOSSIBLE_KINDS["teleport"].sizes
    ]
    return [PairReading(pair, 1.0, 2.0 if pair.size >= notices else 0.0, 1.0, 1.0, 1.0) for pair in pairs]


def test_what_is_solved_comes_back_from_its_file(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    solved = solved_sizes({"pixels": readings(12, 0.3), "others": readings(12, 9.0)})
    assert {size for (_, size), names in solved.items() if names == ("pixels",)} == {
        size for size in IMPOSSIBLE_KINDS["teleport"].sizes if size > 0.3
    }
    path = tmp_path / "golden" / module.SOLVED_FILE
    path.parent.mkdir()
    module.write_solved([(RenderSpec(72, 64, 15.0), solved)], path)
    module.write_solved([(RenderSpec(128, 128, 30.0), {})], path)  # beside it
    assert json.loads(path.read_text())["made_by"] == module.SOLVED_COMMAND
    monkeypatch.setattr(module, "files", lambda name: tmp_path)
    module._golden.cache_clear()
    try:
        assert module.fixed_solved(RenderSpec(64, 80, 10.0)) == solved
        assert module.fixed_solved(RenderSpec(128, 128, 30.0)) == {}
        assert module.fixed_solved(RenderSpec(256, 256, 30.0)) is None
    finally:
        module._golden.cache_clear()


def test_few_clips_do_not_change_what_is_in_the_mean() -> None:
    solved = solved_sizes({"pixels": readings(12, 0.3)})
    model, unlike = readings(4, 0.05), {"pixels": readings(4, 0.05)}  # on these few clips pixels notice everything
    own = expectation_result(model, unlike, sees=1.0, unit="1", way="test")
    fixed = expectation_result(model, unlike, sees=1.0, unit="1", way="test", solved=solved)
    assert own.counted.accuracy is None and fixed.counted.accuracy is not None
    assert {size.size for size in fixed.kinds["teleport"].sizes if size.counts} == {
        size for size in IMPOSSIBLE_KINDS["teleport"].sizes if size < 0.3
    }
    assert "all pairs of the suite" in fixed.settings["left out of the mean"]


def test_every_pair_of_the_suite_is_in_a_fixed_list() -> None:
    published = [solved for classes in module._golden().values() for solved in classes.values()]
    assert published and module.fixed_solved(RenderSpec(64, 64, 15.0)) in published
    for solved in published:
        assert {kind for kind, _ in solved} == set(IMPOSSIBLE_KINDS)
        assert {name for names in solved.values() for name in names} <= set(module.PIXEL_BASELINES)

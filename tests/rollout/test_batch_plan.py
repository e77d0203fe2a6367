from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from physbench.clips.clip import Row
from physbench.rollout.batches import item_seed, plan_batches


@given(st.lists(st.integers(1, 3), min_size=1, max_size=40), st.integers(1, 9), st.integers(1, 3))
def test_a_plan_holds_every_item_once_and_one_horizon_a_batch(horizons: list[int], size: int, samples: int) -> None:
    rows = [Row("toy/disc-v1", "test", seed) for seed in range(len(horizons))]
    plan = plan_batches(rows, size, horizon=lambda row: horizons[row.seed], samples=samples)
    items = [item for batch in plan for item in batch.items]
    assert sorted((item.row.seed, item.sample) for item in items) == [
        (seed, sample) for seed in range(len(rows)) for sample in range(samples)
    ]
    for batch in plan:
        assert {horizons[item.row.seed] for item in batch.items} == {batch.horizon}
        assert 1 <= len(batch.items) <= size
    assert plan == plan_batches(rows, size, horizon=lambda row: horizons[row.seed], samples=samples)


def test_seeds_depend_on_clip_sample_and_run_and_on_nothing_else() -> None:
    rows = [Row("toy/disc-v1", "test", seed) for seed in (0, 1)]
    seeds = {item_seed(row, sample, run) for row in rows for sample in (0, 1) for run in (0, 1)}
    assert len(seeds) == 8
    assert item_seed(replace(rows[0], change="unpushed"), 1, 1) == item_seed(rows[0], 1, 1), "one noise for both"
    assert item_seed(Row("falling/projectile-v1", "test", 3), 0, 0) == 7341642799329224449
    assert all(0 <= seed < 2**63 for seed in seeds)

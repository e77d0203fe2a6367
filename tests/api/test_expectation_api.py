"""`physbench.evaluate` on the suite expectation, of an object in this process."""

from pathlib import Path

import pytest

import physbench
from physbench.support.errors import UsageError
from physbench.surprise.ask import read_part

pytestmark = pytest.mark.usefixtures("warm_models")

ASKED = {"suite": "expectation", "tasks": "gravity", "limit": 1, "workers": 1}


class Still:
    """A frozen frame, whose surprise is that of the pixel baseline of this name."""

    card = physbench.ModelCard(name="still", image_size=(64, 64), fps=15, context_frames=8)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        return context[:, -1:].expand(-1, horizon, -1, -1, -1)


@pytest.mark.slow
def test_an_object_is_asked_in_this_process(tmp_path: Path) -> None:
    evaluation = physbench.evaluate(Still(), out=tmp_path / "run", report=False, **ASKED)
    parts = [read_part(path) for path in (tmp_path / "run" / "parts").glob("*.json")]
    assert parts
    for part in parts:
        for name, surprise in part["films"].items():
            assert surprise == pytest.approx(part["baselines"]["frozen frame"][name], rel=1e-3)
    assert evaluation["expectation"]["everything"]["pairs"] == 1 and evaluation.overall is None
    assert evaluation.told_apart == evaluation["expectation"]["counted"]["accuracy"]
    assert "Too few clips" in str(evaluation) and "skill" not in str(evaluation)
    assert not (tmp_path / "run" / "report").exists()
    table = evaluation.to_pandas()
    assert list(table["kind"]) == ["gravity"] and table["pairs"].sum() == 1
    assert table["told_apart"][0] == evaluation["expectation"]["kinds"]["gravity"]["accuracy"]
    assert len(evaluation.plot().axes) == 1
    assert "Too few clips" in evaluation._repr_html_()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"untrained_copy": True}, "not of an object"),
        ({"resume": True}, "cannot be resumed"),
        ({"scorers": "x"}, "no scorers"),
    ],
)
def test_what_an_object_cannot_be_asked_is_refused(wrong: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        physbench.evaluate(Still(), out=tmp_path / "run", **ASKED, **wrong)
    assert not (tmp_path / "run").exists()

"""The board of the repository: its entries are what was added, and README and pages say what they hold."""

from __future__ import annotations

import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest

from physbench.clips.suite import find_suite
from physbench.leaderboard.entries import PACKED_FILES, present
from physbench.leaderboard.site import build

ROOT = Path(__file__).parents[2]
BOARD, STATES = ROOT / "board", ROOT / "board-states"  # of models of pictures, and of exact states
FEW = 100  # resamples, where intervals are not looked at
MOST_BYTES, MOST_OF_A_PAGE = 15e6, 300e3


def test_readme_shows_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made again by `python docs/figures/board.py`."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "figures"))
    figure = import_module("board")
    monkeypatch.delitem(sys.modules, "board")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert figure.with_table(text, figure.readme_table(figure.rows_of(BOARD))) == text


@pytest.mark.slow
@pytest.mark.parametrize("published", [BOARD, STATES], ids=lambda path: path.name)
def test_the_board_is_built_from_its_entries(published: Path, tmp_path: Path) -> None:
    """Each is checked on the way: files against their hashes, figures against the clips."""
    board = tmp_path / "board"
    shutil.copytree(published, board, ignore=shutil.ignore_patterns("*.html", "result.json"))
    kept = sum(path.stat().st_size for path in board.rglob("*") if path.is_file())
    page = build(board, resamples=FEW)
    assert kept < MOST_BYTES and page.stat().st_size < MOST_OF_A_PAGE
    assert (board / "compare.html").stat().st_size < MOST_OF_A_PAGE
    whole = find_suite("core")
    for entry in present(board):
        assert (entry.result.suite.hash, entry.result.counts.clips) == (whole.hash, len(whole.rows)), entry.name
        assert entry.about.badge != "self-reported", entry.name
        # Tracks of states are what was answered, and were read again, all of them. Untrained copies take no rank.
        unranked = entry.result.model.target.startswith("untrained:")
        assert published == STATES or unranked or entry.about.rollouts == len(whole.rows), entry.name
        assert all((entry.path / name).is_file() for name in PACKED_FILES)
        assert entry.report.read_text(encoding="utf-8").count("data:image/webp") > 20, "clips beside the truth"


@pytest.mark.parametrize("board", [BOARD, STATES], ids=lambda path: path.name)
def test_each_model_is_ahead_of_its_untrained_copy(board: Path) -> None:
    """What the board is to show, of those whose copies are on it."""
    by_target = {entry.result.model.target: entry.result.overall for entry in present(board)}
    copies = [target for target in by_target if target.startswith("untrained:")]
    assert copies
    for target in copies:
        trained, untrained = by_target[target.replace("untrained:", "reference:")], by_target[target]
        assert trained.interval is not None and untrained.interval is not None
        assert trained.interval[0] > untrained.interval[1], target

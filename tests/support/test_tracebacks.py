"""Which line of the user's code an error is blamed on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from physbench.scorers.diagnostics import gravity
from physbench.support.plugins import MAX_MESSAGE, describe_error, describe_error_in_file, note_user_line, user_line


def caught(run: object) -> Exception:
    assert callable(run)
    with pytest.raises(ZeroDivisionError) as error:
        run()
    return error.value


def compiled(text: str, file: Path) -> object:
    """The function `run` of a file."""
    names: dict[str, object] = {}
    exec(compile(text, str(file), "exec"), names)
    return names["run"]


def test_the_innermost_line_of_the_users_code_is_named(tmp_path: Path) -> None:
    error = caught(compiled("def run():\n    return 1 / 0\n", tmp_path / "mine.py"))
    assert user_line(error) == "mine.py, line 2 (run)"
    assert describe_error_in_file(error, tmp_path / "mine.py") == "ZeroDivisionError in line 2 (run): division by zero"
    said = describe_error_in_file(error, tmp_path / "other.py")
    assert said == "ZeroDivisionError in mine.py, line 2 (run): division by zero"


@pytest.mark.parametrize("file", [gravity.__file__, np.__file__, "/opt/other/site-packages/torch/nn.py", "<string>"])
def test_code_of_physbench_and_of_libraries_is_not_the_users(file: str, tmp_path: Path) -> None:
    """Also where physbench is a checkout, whose scorers and tasks lie behind a link."""
    error = caught(compiled("def run():\n    return 1 / 0\n", Path(file)))
    assert user_line(error) == f"{Path(__file__).name}, line {caught.__code__.co_firstlineno + 3} (caught)"


def test_an_error_that_is_raised_again_keeps_the_line() -> None:
    again, without = ZeroDivisionError("odd"), ZeroDivisionError("odd")
    again.add_note("something else")
    note_user_line(again, "mine.py, line 2 (run)")
    note_user_line(without, "")
    assert (user_line(again), user_line(without)) == ("mine.py, line 2 (run)", "")
    assert describe_error_in_file(again, Path("other.py")) == "ZeroDivisionError in mine.py, line 2 (run): odd"
    assert describe_error_in_file(without, Path("other.py")) == "ZeroDivisionError: odd"


def test_what_a_line_announces_is_said(tmp_path: Path) -> None:
    """Which keys of a checkpoint do not fit, as torch says it in lines of their own; at most MAX_MESSAGE characters."""
    import torch

    net = torch.nn.Linear(2, 3)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict({"weight": net.weight, "offset": net.bias})
    said = describe_error(caught.value)
    assert 'Missing key(s) in state_dict: "bias".' in said and 'Unexpected key(s) in state_dict: "offset".' in said
    assert len(describe_error(ValueError("these:\n" + "a" * 999))) < MAX_MESSAGE + 20

"""Factories in Python: every mistake is told in one or two lines that name the place."""

import argparse
from contextlib import nullcontext

import pytest
import torch

from physbench.models.load_model import check_target, model_sha256
from physbench.support.errors import ModelError
from physbench.support.plugins import first_line

MODEL = """
class Model:
    def __init__(self, card=card): self.card = card
    def rollout(self, context, *, horizon, actions, prompts, generators): return context[:, -1:]
"""


def test_a_factory_gets_its_arguments_in_their_types(code, load) -> None:
    path = code(
        MODEL
        + """
def make(*, device, dtype, depth: int = 3, rate=0.5, flag: bool = False, name="x", **rest):
    model = Model()
    model.seen = dict(device=str(device), dtype=str(dtype), depth=depth, rate=rate, flag=flag, name=name, **rest)
    return model
"""
    )
    model = load(f"{path}:make", depth="4", rate="0.25", flag="yes", name="7", other="8")
    assert model.seen == {
        "device": "cpu",
        "dtype": "torch.float32",
        "depth": 4,
        "rate": 0.25,
        "flag": True,
        "name": "7",
        "other": "8",
    }


def test_a_module_below_the_current_folder(code, load, tmp_path, monkeypatch) -> None:
    code(MODEL + "def make(*, device, dtype): return Model()\n", "own_module.py")
    monkeypatch.chdir(tmp_path)
    assert load("python:own_module:make").card.name == "mine"


def test_neighbours_of_the_file_can_be_imported(code, load, tmp_path) -> None:
    (tmp_path / "my_neighbour.py").write_text("WORD = 'hello'\n")
    path = code("import my_neighbour\n" + MODEL + "def make(*, device, dtype): return Model()\n")
    load(f"{path}:make")


@pytest.mark.parametrize(
    ("body", "factory", "arguments", "words"),
    [
        (
            "def make(*, device, dtype): return open('gone.pt')\n",
            "make",
            {},
            r"FileNotFoundError in my_model.py, line \d+ \(make\)",
        ),
        (
            "def make(*, device, dtype): import nothing_like_it\n",
            "make",
            {},
            r"ModuleNotFoundError in my_model.py, line \d+",
        ),
        ("1 / 0\n", "make", {}, r"ZeroDivisionError in my_model.py, line \d+ \(<module>\)"),
        ("def make(*, device, dtype): raise SystemExit(3)\n", "make", {}, r"SystemExit in my_model.py, line \d+"),
        ("def make(:\n", "make", {}, r"my_model.py is not valid Python, line \d+: "),
        ("def make(*, device, dtype): pass\n", "mkae", {}, "there is no 'mkae' in it. Did you mean make"),
        ("make = 3\n", "make", {}, "is a int, not a function"),
        ("def make(): pass\n", "make", {}, r"does not take device and dtype: expected `def make\(\*, device, dtype\)`"),
        (
            "def make(*, device, dtype, size=1): pass\n",
            "make",
            {"sise": "3"},
            "no argument of that name. Did you mean size",
        ),
        (
            "def make(*, device, dtype, size=1): pass\n",
            "make",
            {"size": "big"},
            "--model-arg size=big: expected a whole",
        ),
        ("def make(*, device, dtype, weights): pass\n", "make", {}, "needs --model-arg weights=VALUE."),
        ("def make(*, device, dtype): pass\n", "make", {"dtype": "float16"}, "use --dtype float16"),
        ("def make(*, device, dtype): pass\n", "make", {}, "returned None"),
        ("def make(*, device, dtype): return Model\n", "make", {}, "is a class that was not called"),
        (
            "def make(*, device, dtype): return torch.nn.Linear(1, 1)\n",
            "make",
            {},
            "the Linear has no method `rollout`",
        ),
        (
            "class M(Model):\n  def rollout(self, x): pass\ndef make(*, device, dtype): return M()\n",
            "make",
            {},
            "cannot be called as rollout",
        ),
        (
            "def make(*, device, dtype): return Model(None)\n",
            "make",
            {},
            "attribute `card` of type physbench.ModelCard, got none",
        ),
        ("def make(*, device, dtype): return Model(ModelCard('m', 64, 15, 4))\n", "make", {}, "expected image_size"),
        (
            "def make(*, device, dtype): return Model(ModelCard('m', (64, 64), 7, 4))\n",
            "make",
            {},
            "divides 1200, got 7",
        ),
        (
            "def make(*, device, dtype): return Model(ModelCard('m', (64, 64), '15', 4))\n",
            "make",
            {},
            "fps to be a number",
        ),
        (
            "def make(*, device, dtype): return Model(ModelCard('m', (64, 64), 15, 40))\n",
            "make",
            {},
            "that works is 31",
        ),
        ("def make(*, device, dtype): return Model(ModelCard('m', (64, 64), 15, 2.5))\n", "make", {}, "context_frames"),
        ("def make(*, device, dtype): return Model(ModelCard('m', (64, 64), 15, 4, track='x'))\n", "make", {}, "track"),
        (
            "def make(*, device, dtype): return Model(ModelCard('m', (64, 64), 15, 4, uses_prompt=1))\n",
            "make",
            {},
            "expected uses_prompt to be True or False, got 1",
        ),
        (
            "def make(*, device, dtype): return Model(ModelCard('m' * 201, (64, 64), 15, 4))\n",
            "make",
            {},
            "at most 200 characters",
        ),
        (
            "class M:\n  card = card\n  def rollout_clips(self, clips, *, horizon, generators): pass\n"
            "def make(*, device, dtype): return M()\n",
            "make",
            {},
            "M.rollout_clips is handed whole clips.*--privileged",
        ),
        (
            "class M:\n  card = card\n  def play(self, item, *, context, horizon): pass\n"
            "def make(*, device, dtype): return M()\n",
            "make",
            {},
            "M.play is told which clip it plays, which only videos:DIR is",
        ),
        (
            "def make(*, device, dtype): return Model(ModelCard('m', (64, 64), 15, 4, track='privileged'))\n",
            "make",
            {},
            "models with `rollout_clips`, and no others",
        ),
    ],
)
def test_what_is_wrong_is_told(code, load, body, factory, arguments, words) -> None:
    path = code(MODEL + body)
    with pytest.raises(ModelError, match=words) as caught:
        load(f"{path}:{factory}", **arguments)
    assert len(str(caught.value).splitlines()) <= 2


def test_the_line_is_that_of_the_users_code(code, load) -> None:
    """The error is raised in torch, called from line 5."""
    path = code("def make(*, device, dtype):\n    torch.nn.Linear(2, 3)(torch.ones(5))\n")
    with pytest.raises(ModelError, match=r"RuntimeError in my_model.py, line 5 \(make\): ."):
        load(f"{path}:make")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("{path}", r"say which function makes the model, as in [^ ]*my_model.py:make\.$"),
        ("{folder}/my_modle.py:make", "does not exist. Did you mean my_model.py"),
        ("{path}:a.b", "with the name of a function, got 'a.b'"),
        ("{folder}/none/my_model.py:make", "there is no folder"),
        ("python:no_such_module:make", "there is no module 'no_such_module'"),
        ("python:json", "Expected python:package.module:factory"),
        ("python:json.decoder:9", "Expected python:package.module:factory"),
    ],
)
def test_wrong_targets_are_told_without_running_code(code, target, words) -> None:
    path = code("raise AssertionError('it ran')\n" + MODEL + "def make(*, device, dtype): pass\n")
    with pytest.raises(ModelError, match=words):
        check_target(target.format(path=path, folder=path.parent))


ARGUED = "def make(*, device, dtype, size=1): pass"


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (ARGUED, True),
        ("class make:\n    def __init__(self, device, dtype, size=1): pass", True),
        ("def make(*, device, dtype, **given): pass", False),
        ("import functools\n@functools.cache\n" + ARGUED, False),  # a decorator may take others
        (ARGUED + "\nfrom elsewhere import make", False),
        ("class make(Base): pass", False),
        (ARGUED + "\ntry:\n    def make(*, device, dtype, sise): pass\nexcept Exception: pass", False),
        ("if True:\n    " + ARGUED, False),
        (ARGUED + "\ndef other():\n    global make\n    async def make(): pass", False),
    ],
)
def test_an_argument_that_the_factory_lacks_is_told_without_running_code(code, body: str, refused: bool) -> None:
    target = f"{code('raise AssertionError()' + chr(10) + body + chr(10))}:make"
    check_target(target, model_args={"size": "2"} if refused else {})
    with pytest.raises(ModelError, match="no argument of that name") if refused else nullcontext():
        check_target(target, model_args={"sise": "2"})


def test_functions_that_can_make_no_model_are_not_proposed(code) -> None:
    for body in ("def rollout(context, horizon): pass\n", "class Model:\n    def __init__(self, size): pass\n"):
        with pytest.raises(ModelError, match="None of its functions takes device and dtype") as caught:
            check_target(str(code(body)))
        assert ":rollout" not in str(caught.value) and "http://HOST:PORT" in str(caught.value)
    with pytest.raises(ModelError, match=r"as in [^ ]*my_model.py:make\. It defines Base, make\.$"):
        check_target(str(code("class Base(Other): pass\ndef other(a): pass\ndef make(**given): pass\n")))


def test_the_hash_of_a_file_is_that_of_its_text(code) -> None:
    first = model_sha256(f"{code('x = 1')}:make")
    assert first == model_sha256(f"{code('x = 1')}:make") != model_sha256(f"{code('x = 2')}:make")
    assert model_sha256("python:json:loads") is None


def test_weights_of_more_than_tensors_are_told_in_a_line(load, code, tmp_path) -> None:
    torch.save({"args": argparse.Namespace(size=1)}, tmp_path / "full.pt")
    path = code("def make(*, weights, **_):\n    torch.load(weights, weights_only=True)\n")
    with pytest.raises(ModelError, match=r"UnpicklingError in my_model.py, line 5 \(make\): .") as caught:
        load(f"{path}:make", weights=str(tmp_path / "full.pt"))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("Unsupported global: GLOBAL argparse.Namespace was not allowed.", "more than tensors (argparse.Namespace)"),
        ("Unsupported operand 149.", "more than tensors"),
    ],
)
def test_weights_of_more_than_tensors_are_explained_without_the_advice_to_run_them(said, found) -> None:
    """The page that torch prints, in words that stay the same with every torch."""
    page = f"Weights only load failed. Set `weights_only` to `False`, which can run code.\n\t{said}\nSee the docs."
    told = first_line(page)
    assert f"holds {found}, which" in told and told.endswith("Save the state_dict alone: load that.")
    assert "False" not in told

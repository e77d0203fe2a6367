"""`--actions MAP.py`: pushes reach a model in its own space, and what is not in that space is refused in a line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from physbench.clips.action_space import ActionSpace, Words, read_action_map
from physbench.models.protocol import ModelCard, SteppedModel
from physbench.rollout.answers import every_action, model_actions
from physbench.rollout.in_process import InProcessEngine
from physbench.run.options import Options
from physbench.support.errors import ModelError, UsageError
from physbench.world.scene import PALETTE, Camera, CameraMove, Impulse

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE, CAMERA_KEYS = EXAMPLES / "keyboard_actions.py", EXAMPLES / "camera_keys.py"
ARM = """
from physbench import ActionSpace
import numpy as np
space = ActionSpace(tuple("xyzabg") + ("grip",), (-1.0,) * 7, (1.0,) * 7, "")
def convert(actions, fps):
    return np.pad(actions[:, 3:6] / 100, ((0, 0), (0, 4)))
"""


def written(folder: Path, text: str) -> str:
    file = folder / "map.py"
    file.write_text(text, encoding="utf-8")
    return str(file)


class Listens:
    """Keeps the actions that it is given."""

    def __init__(self, card: ModelCard) -> None:
        self.card, self.heard = card, []

    def rollout(self, context, *, horizon, actions, prompts, generators):
        self.heard.append(actions)
        return context[:, -1:].expand(-1, horizon, -1, -1, -1)


@pytest.mark.parametrize("chained", [False, True])
def test_a_model_is_given_pushes_in_its_own_words(clips, clip_maker, toys, chained: bool) -> None:
    """A clip without a push gets the words of nothing, and each call the rows of its own frames."""
    quiet, pushed = clip_maker(0), clip_maker(1)
    push = Impulse(0.1, pushed.scene.bodies[0].name, (30.0, 0.0, -40.0))
    pushed = replace(pushed, scene=replace(pushed.scene, impulses=(push,)))
    clips.add(quiet, pushed)
    card = toys.card(uses_actions=True, max_horizon=-(-quiet.horizon // 2) if chained else None)
    model = Listens(card)
    with InProcessEngine(model, actions=str(EXAMPLE)) as engine:
        plan = engine.plan(list(clips), batch_size=2, load=clips.load, horizon=clips.horizon)
        assert not [r.failure for result in engine.run(plan, clips.load) for r in result if r.failure]
    table = pushed.actions(card.context_frames)
    (row,) = np.flatnonzero(table.any(axis=1))
    first = card.max_horizon or quiet.horizon
    heard = torch.cat([model.heard[0], *(each[:, card.context_frames :] for each in model.heard[1:])], 1).numpy()
    assert model.heard[0].shape == (2, card.context_frames + first, 5) and heard.shape[1] == len(table)
    none, right_down = [1, 0, 0, 0, 0], [0, 0, 1, 0, 1]
    np.testing.assert_array_equal(heard[0], np.tile(none, (len(table), 1)))
    np.testing.assert_array_equal(heard[1], [right_down if k == row else none for k in range(len(table))])


MOVING = replace(Camera("front", (0.0, 0.0, 1.0)), path=(CameraMove("pan", 0.5, 0.0, 1.0),))


@pytest.mark.parametrize(
    ("takes", "width"), [({"uses_camera": True}, 6), ({"uses_camera": True, "uses_actions": True}, 12)]
)
def test_a_model_is_given_the_pose_of_each_frame(clips, clip_maker, toys, takes: dict[str, bool], width: int) -> None:
    """Where a camera stands still they are zeros; a push, where the card uses both, comes first."""
    still, turns = clip_maker(0), clip_maker(1)
    push = Impulse(0.1, turns.scene.bodies[0].name, (30.0, 0.0, -40.0))
    turns = replace(turns, scene=replace(turns.scene, impulses=(push,), camera=MOVING))
    clips.add(still, turns)
    model = Listens(toys.card(**takes))
    with InProcessEngine(model) as engine:
        plan = engine.plan(list(clips), batch_size=2, load=clips.load, horizon=clips.horizon)
        assert not [r.failure for result in engine.run(plan, clips.load) for r in result if r.failure]
    ((quiet, heard),) = (each.numpy() for each in model.heard)
    assert heard.shape == (model.card.context_frames + still.horizon, width) and not quiet.any()
    times = turns.times[turns.window(model.card.context_frames)]
    np.testing.assert_allclose(heard[:, -6], np.degrees(0.5 * np.clip(times, 0, 1)), atol=1e-4)
    assert not heard[:, -5:].any()
    if width == 12:
        np.testing.assert_array_equal(heard[:, :6], turns.actions(model.card.context_frames))


def test_a_map_is_given_what_the_card_takes(clip_maker, toys) -> None:
    turns = clip_maker(0)
    push = Impulse(0.1, turns.scene.bodies[0].name, (30.0, 0.0, -40.0))
    turns = replace(turns, scene=replace(turns.scene, impulses=(push,), camera=MOVING))
    poses = every_action([turns], toys.card(uses_camera=True))
    pushes = every_action([turns], toys.card(uses_actions=True))
    assert poses[..., 6:].any() and not poses[..., :6].any()
    assert pushes[..., :6].any() and not pushes[..., 6:].any()


def test_a_repeated_first_frame_has_its_pose_again(clip_maker, toys) -> None:
    turns = clip_maker(0)
    path = (CameraMove("pan", 0.5, -10.0, 10.0),)
    turns = replace(turns, scene=replace(turns.scene, camera=replace(MOVING, path=path)))
    card = toys.card(uses_camera=True, context_frames=25, repeat_first=True)
    given = model_actions([turns], card)
    assert given is not None and given.shape == (1, 25 + turns.horizon, 6) and card.scored_context == 21
    assert (given[0, :5, 0] == given[0, 0, 0]).all() and (np.diff(given[0, 4:, 0]) > 0).all()


def test_the_turns_of_a_camera_as_keys(clip_maker) -> None:
    turns = clip_maker(0)
    turns = replace(turns, scene=replace(turns.scene, camera=MOVING))
    keys = read_action_map(str(CAMERA_KEYS))
    given = np.concatenate([np.zeros((len(turns.times), 6)), turns.camera_poses(turns.handover + 1)], 1)
    words = keys.table(given[None].astype(np.float32), turns.spec.fps)[0]
    right = words[:, keys.space.names.index("right")] == 1
    assert right.any() and set(turns.times[right].round(1)) <= set(np.arange(0, 11).round(1) / 10)
    assert (words.sum(axis=1) == 1).all() and (words[~right, 0] == 1).all()


def test_a_model_that_takes_no_actions_is_told_so(toys) -> None:
    with pytest.raises(UsageError, match=r"toy is given no actions\. .*uses_actions=True"):
        InProcessEngine(Listens(toys.card()), actions=str(EXAMPLE)).start()


def test_seven_numbers_of_an_arm(tmp_path: Path) -> None:
    pushes = np.zeros((2, 4, 12), np.float32)
    pushes[1, 2, :6] = [*PALETTE[0], 50, -20, 0]
    found = read_action_map(written(tmp_path, ARM)).table(pushes, 15)
    assert found.shape == (2, 4, 7) and not found[0].any()
    np.testing.assert_allclose(found[1, 2], [0.5, -0.2, 0, 0, 0, 0, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "expected `space`, an ActionSpace or Words, got None"),
        ("from physbench import Words\nspace = Words(('a',))", r"expected a function `convert\(actions, fps\)`"),
        (ARM.replace("import numpy", "import nmpy"), "No module named 'nmpy'"),
        (ARM.replace("(0, 4)", "(0, 3)"), r"convert: expected numbers of shape \(4, 7\) .*, got \(4, 6\)"),
        (ARM.replace("/ 100", "* np.nan"), "convert: row 0: expected x from -1 to 1, got nan"),
        (ARM.replace("/ 100", "+ 2"), "convert: row 0: expected x from -1 to 1, got 2"),
        (ARM.replace("actions[:, 3:6]", "actions[:, 3:6][9]"), "line 6"),
        (
            "from physbench import Words\nspace = Words(('none', 'left'))\ndef convert(a, fps): return ['lefft'] * 4",
            "convert: row 0: there is no word 'lefft'. Did you mean left",
        ),
        ("from physbench import Words\nspace = Words(('a',))\ndef convert(a, fps): return ['a']", "expected 4 words"),
    ],
)
def test_what_is_no_action_is_refused_in_a_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as found:
        read_action_map(written(tmp_path, text)).table(np.zeros((1, 4, 12), np.float32), 15)
    assert "\n" not in str(found.value)


def test_options_name_one_file_that_there_is(tmp_path: Path) -> None:
    assert Options("m", actions=written(tmp_path, ARM)).actions == str(tmp_path / "map.py")
    with pytest.raises(UsageError, match="There is no file"):
        Options("m", actions=str(tmp_path / "mop.py"))
    with pytest.raises(UsageError, match=r"expected one file MAP.py, got 'left'"):
        read_action_map("left")
    with pytest.raises(UsageError, match="nodes of a cluster"):
        Options("m", actions=str(EXAMPLE), executor="ray").check()


def test_spaces_that_are_none_are_refused() -> None:
    for low, high in (((0.0,), (1.0, 2.0)), ((1.0, 0.0), (0.0, 1.0))):
        with pytest.raises(ValueError, match="Expected"):
            ActionSpace(("a", "b"), low, high, "")
    with pytest.raises(ValueError, match="different words"):
        Words(("a", "a"))


def test_a_stepped_model_refuses_actions_of_another_width() -> None:
    class Steps(SteppedModel):
        card, action_values = ModelCard("steps", (32, 32), 10, 1, uses_actions=True), 3

        def init(self, context):
            return context[:, -1]

        def step(self, state, action):
            return state, (state + action.sum()).clamp(0, 1)

    context, words = torch.zeros(1, 1, 3, 32, 32), {"prompts": [""], "generators": []}
    right = list(Steps().rollout(context, horizon=2, actions=torch.ones(1, 3, 3), **words))
    assert len(right) == 2 and right[0].min() == 1
    assert len(list(Steps().rollout(context, horizon=1, actions=None, **words))) == 1
    with pytest.raises(ModelError, match="takes actions of 3 numbers, and is given 6: --actions"):
        next(Steps().rollout(context, horizon=1, actions=torch.zeros(1, 2, 6), **words))

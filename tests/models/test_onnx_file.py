"""Models in .onnx files: the same frames as torch, and what is refused."""

import os
import sys

import numpy as np
import onnx
import pytest
import torch
from made_graphs import PUSH, WEIGHTS, clip, save, stepped, torch_frames, value
from onnx import helper

from physbench.models.load_model import check_target, find_adapter, load_model, model_sha256
from physbench.support.errors import ModelError

pytestmark = pytest.mark.usefixtures("warm_models")


def rolled(model, context, horizon, actions=None):
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(context))]
    chunks = model.rollout(
        context, horizon=horizon, actions=actions, prompts=[""] * len(context), generators=generators
    )
    return torch.cat(list(chunks), 1)


def told(target) -> str:
    with pytest.raises(ModelError) as caught:
        check_target(str(target))
    text = str(caught.value)
    assert 1 <= len(text.splitlines()) <= 2, text
    return text


@pytest.mark.parametrize("batch", [1, 3])
def test_a_rollout_of_60_frames_is_that_of_torch(load, tmp_path, batch) -> None:
    model = load(save(stepped(), tmp_path / "model.bin"))  # whatever its name
    context = torch.rand(batch, 4, 3, 64, 64)
    frames = rolled(model, context, 60)
    assert frames.shape == (batch, 60, 3, 64, 64)
    assert (frames - torch_frames(context, torch.zeros(batch, 60, 3))).abs().max() < 1e-5
    assert torch.equal(frames, rolled(model, context, 60))


def test_actions_and_noise_reach_the_step(load, tmp_path) -> None:
    context, actions = torch.rand(2, 4, 3, 64, 64), torch.randn(2, 4 + 9, 6)
    model = load(save(stepped(uses_actions=True), tmp_path / "a.onnx"))
    expected = torch_frames(context, actions[:, 4:] @ torch.from_numpy(PUSH))
    assert (rolled(model, context, 9, actions) - expected).abs().max() < 1e-5
    model = load(save(stepped(3, uses_actions=True), tmp_path / "own.onnx"))  # a space of its own
    expected = torch_frames(context, actions[:, 4:, :3] @ torch.from_numpy(PUSH[:3]))
    assert (rolled(model, context, 9, actions[..., :3]) - expected).abs().max() < 1e-5
    with pytest.raises(ModelError, match="takes actions of 3 numbers, and is given 6"):
        rolled(model, context, 9, actions)
    assert (rolled(model, context, 9) - torch_frames(context, torch.zeros(2, 9, 3))).abs().max() < 1e-5

    model = load(save(stepped(stochastic=True), tmp_path / "b.onnx"))
    drawn = []
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        drawn.append(torch.stack([torch.randn(2, generator=generator) for _ in range(9)]))
    expected = torch_frames(context, torch.stack(drawn) @ torch.from_numpy(PUSH[:2]))
    assert (rolled(model, context, 9) - expected).abs().max() < 1e-5


def test_a_graph_of_whole_clips_has_a_horizon(load, tmp_path) -> None:
    model = load(save(clip(7), tmp_path / "clip.onnx"))
    assert model.card.max_horizon == 7
    context = torch.rand(2, 4, 3, 64, 64)
    assert torch.equal(rolled(model, context, 5), context[:, -1:].expand(-1, 5, -1, -1, -1))


def test_the_threads_of_the_runtime_are_those_of_torch(load, tmp_path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = load(save(stepped(), tmp_path / "model.onnx"))
        assert model._step._session.get_session_options().intra_op_num_threads == 1
    finally:
        torch.set_num_threads(before)


def external(path, location="weights.bin", **changes):
    """Write a graph whose convolution lies in another file."""
    file = path.parent / "weights.bin"
    file.write_bytes(WEIGHTS.tobytes())

    def change(model):
        tensor = model.graph.initializer[1]
        tensor.ClearField("raw_data")
        tensor.data_location = tensor.EXTERNAL
        for key, text in {"location": location, "length": WEIGHTS.nbytes, **changes}.items():
            tensor.external_data.add(key=key, value=str(text))

    return save(stepped(), path, change)


def test_weights_beside_the_graph_are_read_and_hashed(load, tmp_path, monkeypatch) -> None:
    path = external(tmp_path / "model.onnx")
    monkeypatch.chdir("/")  # not found by chance
    context = torch.rand(2, 4, 3, 64, 64)
    frames = rolled(load(path), context, 5)
    assert (frames - torch_frames(context, torch.zeros(2, 5, 3))).abs().max() < 1e-5
    before = model_sha256(str(path))
    assert before == model_sha256(str(path))
    (tmp_path / "weights.bin").write_bytes((WEIGHTS * 2).tobytes())
    assert model_sha256(str(path)) != before


def test_weights_elsewhere_are_refused(tmp_path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.bin").write_bytes(WEIGHTS.tobytes())
    (inner / "link.bin").symlink_to(tmp_path / "secret.bin")
    for location in ("../secret.bin", str(tmp_path / "secret.bin"), "link.bin", ""):
        assert "outside of the graph's folder" in told(external(inner / "model.onnx", location))
    assert "no file" in told(external(inner / "model.onnx", "gone.bin"))
    (inner / "loop.bin").symlink_to("loop.bin")
    for location in ("loop.bin", "a\0b", "a" * 5000):
        assert "which is no file" in told(external(inner / "model.onnx", location))
    assert "end behind the end" in told(external(inner / "model.onnx", offset=64))
    assert "no valid place" in told(external(inner / "model.onnx", offset="x"))


@pytest.mark.parametrize("under", ["", "onnx"])
def test_a_graph_and_weights_that_a_cache_keeps_behind_links_are_read(under, load, tmp_path, monkeypatch) -> None:
    """Under their hashes, with a folder of links that have their names (microsoft/onnxruntime#27353,
    robertknight/rten#1334); also where a link itself is used.
    """
    plain = external(tmp_path / "model.onnx")
    blobs, names = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / "0123" / under
    blobs.mkdir(parents=True)
    names.mkdir(parents=True)
    for number, name in enumerate(("model.onnx", "weights.bin")):
        (blobs / f"{number:064}").write_bytes((tmp_path / name).read_bytes())
        (names / name).symlink_to(os.path.relpath(blobs / f"{number:064}", names))
    monkeypatch.chdir("/")
    context = torch.rand(2, 4, 3, 64, 64)
    assert torch.equal(rolled(load(names / "model.onnx"), context, 5), rolled(load(plain), context, 5))
    assert model_sha256(str(names / "model.onnx")) == model_sha256(str(plain))
    (tmp_path / "linked.onnx").symlink_to(names / "model.onnx")  # the weights lie beside what it is a link to
    (tmp_path / "weights.bin").unlink()
    (blobs / f"{1:064}").unlink()
    assert f"is a link to {blobs / f'{1:064}'}, which is not there" in told(names / "model.onnx")
    (tmp_path / "secret.bin").write_bytes(WEIGHTS.tobytes())
    (names / "weights.bin").unlink()
    (names / "weights.bin").symlink_to(tmp_path / "secret.bin")
    assert "outside of the graph's folder" in told(names / "model.onnx")


def test_weights_that_a_cache_keeps_as_hard_links_are_read(load, tmp_path) -> None:
    """The checker of onnx refuses those for what is read by it (onnx/onnx#7686)."""
    path = external(tmp_path / "model.onnx")
    (tmp_path / "blob").hardlink_to(tmp_path / "weights.bin")
    context = torch.rand(2, 4, 3, 64, 64)
    frames = rolled(load(path), context, 5)
    assert (frames - torch_frames(context, torch.zeros(2, 5, 3))).abs().max() < 1e-5


def renamed(old, new):
    def change(model):
        for each in (*model.graph.input, *model.graph.output):
            each.name = new if each.name == old else each.name
        for node in model.graph.node:
            for names in (node.input, node.output):
                names[:] = [new if name == old else name for name in names]

    return change


def reshaped(name, *shape):
    def change(model):
        for each in (*model.graph.input, *model.graph.output):
            if each.name == name:
                each.CopyFrom(value(name, *shape))

    return change


def with_node(kind, *inputs, domain="", **attributes):
    def change(model):
        model.graph.node.append(helper.make_node(kind, list(inputs), ["unused"], domain=domain, **attributes))
        if domain:
            model.opset_import.append(helper.make_opsetid(domain, 1))

    return change


def rewired(output, source):
    """Let an output be made of another value."""

    def change(model):
        for node in model.graph.node:
            node.output[:] = ["aside" if name == output else name for name in node.output]
            node.input[:] = ["aside" if name == output else name for name in node.input]
        nodes = [helper.make_node("Gather", [source, "last"], [output], axis=1)] if source == "context" else []
        nodes = nodes or [helper.make_node("Identity", [source], [output])]
        model.graph.node.extend(nodes)

    return change


def newer(model):
    model.opset_import[0].version = 99


def newer_file(model):
    model.ir_version = 99


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: model.ClearField("metadata_props"), "has no card"),
        (renamed("context", "video"), "no input `context`"),
        (renamed("frame", "image"), "no output `frame`"),
        (renamed("next_memory", "memory_next"), "there is no `next_memory`."),
        (
            reshaped("context", "B", 8, 3, 64, 64),
            "`context` should have the shape (B, 4, 3, 64, 64), got (B, 8, 3, 64, 64)",
        ),
        (reshaped("frame", "B", 3, 32, 64), "`frame` should have the shape"),
        (reshaped("context", 1, 4, 3, 64, 64), "fixed batch"),
        (rewired("init_memory", "memory"), "the first state depends on the input `memory`"),
        (rewired("next_memory", "context"), "the step depends on the input `context`"),
        (with_node("Magic", "memory", domain="mine"), "operator mine::Magic"),
        (with_node("RandomNormal", shape=[1]), "input `noise`"),
        (with_node("Relu", "nowhere"), "not a valid ONNX graph"),
        (newer, "opset 99"),
        (newer_file, "IR version 99"),
        (lambda model: model.graph.output.append(value("other", 1)), "not a valid ONNX graph"),
    ],
)
def test_what_is_wrong_with_a_graph_is_told(tmp_path, change, words) -> None:
    assert words in told(save(stepped(), tmp_path / "model.onnx", change))


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ({"image_size": [32, 32]}, "`context` should have the shape"),
        ({"context_frames": 5}, "`context` should have the shape"),
        ({"fps": 7}, "frames/s, a rate that divides 1200"),
        ({"fps": 10**400}, "frames/s, a rate that divides 1200"),
        ({"colour": 1}, "unknown field 'colour'"),
        ({"\x1b[31m": 1}, "unknown field '\\x1b[31m'"),
        ({"uses_prompt": True}, "takes no text"),
        ({"track": "privileged"}, "privileged"),
    ],
)
def test_a_card_that_lies_is_told(tmp_path, card, words) -> None:
    assert words in told(save(stepped(**card), tmp_path / "model.onnx"))


def test_cards_about_inputs_that_are_not_there(tmp_path) -> None:
    def claim(**fields):
        props = stepped(**fields).metadata_props
        return lambda model: (model.ClearField("metadata_props"), model.metadata_props.extend(props))

    assert "uses_actions=True" in told(save(stepped(), tmp_path / "a.onnx", claim(uses_actions=True)))
    assert "uses_camera=True" in told(save(stepped(), tmp_path / "c.onnx", claim(uses_camera=True)))
    assert "stochastic=True" in told(save(stepped(), tmp_path / "b.onnx", claim(stochastic=True)))
    assert "stochastic=False" in told(save(stepped(stochastic=True), tmp_path / "c.onnx", claim()))
    assert "max_horizon=9" in told(save(clip(7, max_horizon=9), tmp_path / "d.onnx"))
    broken = helper.make_model(stepped().graph)
    helper.set_model_props(broken, {"physbench": "{"})
    assert "cannot be read" in told(save(broken, tmp_path / "e.onnx"))
    helper.set_model_props(broken, {"physbench": "[" * 100_000})
    assert "cannot be read" in told(save(broken, tmp_path / "e.onnx"))
    helper.set_model_props(broken, {"physbench": '{"kind": "smells", "card": {}}'})
    assert "no kind of graph 'smells'" in told(save(broken, tmp_path / "e.onnx"))


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_files_are_told(tmp_path, share) -> None:
    path = save(stepped(), tmp_path / "model.onnx")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "truncated or corrupt ONNX file" in told(path)


def test_heads_that_claim_gigabytes_cost_nothing(tmp_path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x08\x3a\xff\xff\xff\xff\x07" + bytes(100))
    assert "truncated or corrupt ONNX file" in told(path)
    with path.open("r+b") as file:
        file.truncate(3 * 2**30)  # a hole, which takes no room on the disk
    assert "larger than 2 GB" in told(path)


def test_the_runtime_says_what_it_cannot_load(load, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(onnx.defs, "onnx_opset_version", lambda: 99)
    monkeypatch.setattr(onnx.checker, "check_model", lambda _: None)
    path = save(stepped(), tmp_path / "model.onnx", newer)
    with pytest.raises(ModelError, match=r"onnxruntime .* cannot load .*model.onnx") as caught:
        load(path)
    assert len(str(caught.value).splitlines()) == 1


def test_devices_types_and_arguments_that_a_graph_does_not_take(load, tmp_path) -> None:
    path = str(save(stepped(), tmp_path / "model.onnx"))
    for device, words in (("cuda", "onnxruntime-gpu"), ("mps", "--device cpu")):
        with pytest.raises(ModelError, match=words):
            load_model(path, device=torch.device(device), dtype=torch.float32)
    with pytest.raises(ModelError, match="holds its own types"):
        load_model(path, device=torch.device("cpu"), dtype=torch.float16)
    with pytest.raises(ModelError, match="takes no arguments"):
        load(path, width="3")


def test_a_full_memory_is_known_as_such(load, tmp_path, monkeypatch) -> None:
    model = load(save(stepped(), tmp_path / "model.onnx"))

    class Full:
        def __getattr__(self, name):
            return getattr(session, name)

        def run_with_iobinding(self, _):
            raise RuntimeError("bfc_arena.cc Failed to allocate memory for requested buffer of size 99")

    session = model._init._session
    monkeypatch.setattr(model._init, "_session", Full())
    with pytest.raises(MemoryError, match="Failed to allocate"):
        rolled(model, torch.rand(1, 4, 3, 64, 64), 1)


def test_a_missing_library_is_named_with_the_extra(tmp_path, monkeypatch) -> None:
    path = save(stepped(), tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert told(path) == f"{path} needs onnxruntime: pip install 'physbench[onnx]'"
    assert "not installed: pip install" in find_adapter(str(path)).summary


def test_weights_may_be_declared_as_inputs(load, tmp_path) -> None:
    """As files of IR version 3 do."""

    def change(model):
        model.graph.input.append(value("weights", *np.shape(WEIGHTS)))

    model = load(save(stepped(), tmp_path / "model.onnx", change))
    assert rolled(model, torch.rand(1, 4, 3, 64, 64), 2).shape[1] == 2

"""Checkpoints with our metadata key, of a toy architecture."""

import json
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
import torch
from safetensors.torch import load_file, save_file

from physbench import ModelCard
from physbench.models.graph_card import graph_document, read_graph_document
from physbench.models.load_model import check_target, model_sha256
from physbench.models.protocol import stated_fields
from physbench.models.safetensors_files import (
    compare_tensors,
    prefix_words,
    read_checkpoint,
    read_header,
    save_checkpoint,
    state_dict_words,
)
from physbench.support import plugins
from physbench.support.errors import ModelError

CARD = ModelCard("toy", (64, 64), 15, 4, track="trained")


class Toy(torch.nn.Module):
    def __init__(self, card, width):
        super().__init__()
        self.card = card
        self.layer = torch.nn.Linear(width, 2)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        return context[:, -1:].expand(-1, horizon, -1, -1, -1)


class Architecture:
    name = "toy"

    def load(self, tensors, config, card, *, device, dtype):
        model = Toy(card, config["width"])
        if config.get("compare"):
            compare_tensors(
                {name: tuple(t.shape) for name, t in model.state_dict().items()},
                {n: tuple(t.shape) for n, t in tensors.items()},
            )
        if config.get("says"):
            raise RuntimeError(config["says"])
        model.load_state_dict(tensors)
        return model.to(device, dtype)


architecture = Architecture()


@pytest.fixture(autouse=True)
def toy_architecture(monkeypatch):
    import sys

    sys.modules["toy_architecture"] = sys.modules[__name__]
    true = plugins.entries

    def entries(group):
        known = dict(true(group))
        if group == "physbench.architectures":
            known["toy"] = EntryPoint("toy", "toy_architecture:architecture", group)
        return known

    monkeypatch.setattr(plugins, "entries", entries)


@pytest.fixture
def saved(tmp_path):
    def save(name="model.safetensors", config=None, architecture="toy", tensors=None, card=CARD):
        path = tmp_path / name
        torch.manual_seed(0)
        tensors = tensors or Toy(CARD, 3).state_dict()
        save_checkpoint(
            path, tensors, architecture=architecture, config=config or {"width": 3}, card=card, training={"seed": 0}
        )
        return path

    return save


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt", "model"])
def test_a_checkpoint_is_recognised_by_its_content(saved, load, name) -> None:
    model = load(saved(name))
    assert model.card == CARD
    assert read_checkpoint(saved(name)).training == {"seed": 0}


def test_the_hash_is_of_tensors_and_metadata(saved, tmp_path) -> None:
    first, second = saved("a"), tmp_path / "b"
    document = json.loads(json.dumps({"training": {"seed": 0}, **vars(read_checkpoint(first)), "card": None}))
    document["card"] = json.loads(json.dumps(stated_fields(CARD)))
    text = json.dumps(dict(reversed(document.items())), indent=3)  # another order and other spaces
    save_file(dict(reversed(load_file(first).items())), second, metadata={"physbench": text})
    assert first.read_bytes() != second.read_bytes()
    assert model_sha256(str(first)) == model_sha256(str(second))
    assert model_sha256(str(first)) != model_sha256(str(saved("c", config={"width": 3, "depth": 1})))
    changed = {name: tensor + 1e-6 for name, tensor in load_file(first).items()}
    assert model_sha256(str(first)) != model_sha256(str(saved("d", tensors=changed)))


@pytest.mark.parametrize(("training", "stated"), [({"clips": 40}, 40), ({}, "left out")])
def test_a_card_states_the_clips_of_its_training_where_they_are_known(training, stated, tmp_path) -> None:
    path, card = tmp_path / "model.safetensors", replace(CARD, track="trained")
    save_checkpoint(path, Toy(CARD, 3).state_dict(), architecture="toy", config={}, card=card, training=training)
    document = json.loads(read_header(path).metadata["physbench"])["card"]
    assert document.get("training_clips", "left out") == stated
    assert "training_clips" not in json.loads(graph_document(card))["card"]
    assert read_graph_document(graph_document(card), "file", "metadata").card == card


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:6], "does not start like"),
        (lambda data: data[:60], "is truncated: its header needs"),
        (lambda data: data[:-5], "is truncated: its header describes"),
        (lambda data: data + b"xx", "is corrupt: its header describes"),
        (lambda data: data[:20] + b"\xff\xfe" + data[22:], "is corrupt: its header cannot be read"),
        (lambda data: (b"%c" % 20).ljust(8, b"\0") + b'{"__metadata__": 55}', "its metadata is not a table"),
    ],
)
def test_damaged_files_are_told(saved, change, words) -> None:
    path = saved()
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ModelError, match=words):
        check_target(str(path))


def test_a_file_of_another_kind_behind_our_scheme_is_told(tmp_path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(b"\xff" * 64)  # as a header it would be 16 exabytes long
    with pytest.raises(ModelError, match="is truncated: its header needs"):
        check_target(f"safetensors:{path}")


def test_tensors_without_our_key_say_how_to_go_on(tmp_path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"w": torch.ones(2)}, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 tensors but no metadata key 'physbench' \(keys: format\)") as caught:
        check_target(str(path))
    assert "my_model.py:make" in str(caught.value)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("{", "its metadata cannot be read"),
        ("[]", "its metadata cannot be read"),
        ("{}", "its metadata lacks 'architecture'"),
        ('{"architecture": "toy", "config": {}}', "its metadata lacks 'card'"),
        ('{"architecture": "toy", "config": {}, "card": {"nam": "x"}}', "unknown field 'nam'. Did you mean name"),
        (
            '{"architecture": "toy", "config": {}, "card": {"name": "x"}}',
            "its card lacks image_size, fps, context_frames",
        ),
        (
            '{"architecture": "toy", "config": {}, "card": {"name": "x", "image_size": [64, 64], "fps": 7, '
            '"context_frames": 2}}',
            "divides 1200, got 7",
        ),
    ],
)
def test_wrong_metadata_is_told(tmp_path, metadata, words) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"w": torch.ones(2)}, path, metadata={"physbench": metadata})
    with pytest.raises(ModelError, match=words):
        check_target(str(path))


def test_an_unknown_architecture_offers_the_nearest(saved) -> None:
    with pytest.raises(ModelError, match="no architecture 'object' here"):
        check_target(str(saved(architecture="object")))


def test_tensors_that_do_not_fit_are_named(saved, load) -> None:
    tensors = {"layer.weight": torch.ones(2, 5), "extra": torch.ones(1)}
    with pytest.raises(ModelError) as caught:
        load(saved(tensors=tensors, config={"width": 3, "compare": True}))
    text = str(caught.value)
    assert "layer.bias" in text and "extra" in text and len(text.splitlines()) == 1
    assert "layer.weight (2, 5) instead of (2, 3)" in text
    with pytest.raises(ModelError, match=r"does not fit the architecture 'toy': .") as caught:
        load(saved(tensors=tensors))  # in torch's words
    assert len(str(caught.value).splitlines()) == 1
    said = "2 errors:\n\tmissing: layer.bias\n\tunexpected: extra\n"
    with pytest.raises(ModelError, match=r"'toy': missing: layer\.bias unexpected: extra$"):
        load(saved(config={"width": 3, "says": said}))
    with pytest.raises(ModelError, match="needs 'width', which is missing"):
        load(saved(config={"depth": 3}))
    with pytest.raises(ModelError, match="takes no arguments"):
        load(saved(), size="3")


def test_unknown_references_are_told() -> None:
    with pytest.raises(ModelError, match="There is no reference model 'nonsense'"):
        check_target("reference:nonsense")
    with pytest.raises(ModelError, match=r"no reference model 'tooy'\. Did you mean toy"):
        check_target("reference:tooy")
    with pytest.raises(ModelError, match="Make one with `physbench train toy`"):
        check_target("reference:toy")


NAMES = ("net.conv.weight", "net.conv.bias", "head.weight")


@pytest.mark.parametrize(
    ("prefix", "cause"),
    [
        ("_orig_mod.", "which comes from torch.compile"),  # huggingface/pytorch-image-models#2003
        ("module.", "which comes from DataParallel"),  # aks2203/deep-thinking#5
        ("module._orig_mod.", "torch.compile and DataParallel"),  # FareedKhan-dev/train-llm-from-scratch#36
        ("model.", "a module around the network"),
        ("ema.", "a running mean"),
        ("world_model.", "differs. Save"),
    ],
)
def test_a_prefix_that_alone_differs_is_named(prefix: str, cause: str) -> None:
    words = prefix_words(NAMES, [prefix + name for name in (*NAMES, "more")])
    assert f"Only the prefix {prefix} differs" in words and cause in words
    assert f'name.removeprefix("{prefix}")' in words and len(words.splitlines()) == 1
    lost = prefix_words([prefix + name for name in NAMES], NAMES)
    assert f"Only the prefix {prefix} differs, which the file lacks" in lost and f'"{prefix}" + name' in lost


def test_prefixes_within_names_and_several_of_them_are_named() -> None:
    inside = ["net._orig_mod.conv.weight", "net._orig_mod.conv.bias", "head.weight"]
    assert 'name.replace("_orig_mod.", "")' in prefix_words(NAMES, inside)
    both = [prefix + name for prefix in ("model.", "ema.") for name in NAMES]
    assert "they are there behind ema. and model. each" in prefix_words(NAMES, both)
    assert prefix_words(NAMES, ["net.conv.weight2", "another.bias"]) == ""
    assert prefix_words([], NAMES) == prefix_words(NAMES, []) == ""


def test_a_checkpoint_of_a_wrapped_network_says_so(saved, load, tmp_path) -> None:
    """Where the architecture compares names, where torch does, and in a factory of the user's."""
    tensors = {f"_orig_mod.{name}": tensor for name, tensor in Toy(CARD, 3).state_dict().items()}
    for config in ({"width": 3, "compare": True}, {"width": 3}):
        with pytest.raises(ModelError, match=r"Only the prefix _orig_mod\. differs") as caught:
            load(saved(tensors=tensors, config=config))
        assert len(str(caught.value).splitlines()) <= 2
    factory = tmp_path / "mine.py"
    factory.write_text(
        "import torch\n\ndef make(*, device, dtype):\n    net = torch.nn.Linear(3, 2)\n"
        "    net.load_state_dict({f'module.{name}': tensor for name, tensor in net.state_dict().items()})\n"
    )
    with pytest.raises(ModelError, match=r"mine\.py:make failed(.|\n)*Only the prefix module\. differs"):
        load(f"{factory}:make")
    assert state_dict_words(ValueError("loading state_dict")) == ""


def test_a_pickle_of_a_wrapped_network_says_so(tmp_path) -> None:
    """A known layout is found by its names, and they are other ones."""
    torch.save({f"_orig_mod.{name}": torch.ones(1) for name in NAMES}, tmp_path / "wrapped.pt")
    with pytest.raises(ModelError, match=r"Its names have the prefix _orig_mod\., which comes from torch\.compile"):
        check_target(str(tmp_path / "wrapped.pt"))


@pytest.fixture
def sharded(saved, tmp_path):
    """Write the checkpoint of `saved` in two files with an index. Returns the index."""

    def write(folder="sharded", **metadata):
        whole = saved()
        text = {"physbench": read_header(whole).metadata["physbench"]}
        place = tmp_path / folder
        place.mkdir()
        table = {}
        for number, (name, tensor) in enumerate(load_file(whole).items(), 1):
            table[name] = f"model-{number:05}-of-00002.safetensors"
            save_file({name: tensor}, place / table[name], metadata=text if metadata.get("keyed", True) else None)
        index = place / "model.safetensors.index.json"
        index.write_text(json.dumps({"metadata": {"total_size": 32}, "weight_map": table}))
        return index

    return write


def test_a_checkpoint_in_shards_is_loaded_by_its_index_or_folder(sharded, saved, load) -> None:
    index = sharded()
    whole = load(saved())
    for target in (index, index.parent, f"safetensors:{index.parent}"):
        assert torch.equal(load(target).layer.weight, whole.layer.weight)
    assert model_sha256(str(index.parent)) == model_sha256(str(saved()))
    (index.parent / "config.json").write_text('{"model_type": "vit"}')  # of another library, and ours all the same
    assert load(index.parent).card == CARD


def test_shards_that_do_not_belong_together_are_told(sharded) -> None:
    """An index may name files that were not downloaded (sgl-project/sglang#32279), or be of another save
    (Blaizzy/mlx-vlm#1827).
    """
    index = sharded()
    first, second = (index.parent / f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
    with pytest.raises(ModelError, match=r"is one of several files .* Give their index: .*index\.json$"):
        check_target(str(first))
    content = second.read_bytes()
    second.unlink()
    with pytest.raises(ModelError, match=r"1 of the 2 files .* not there \(the first is model-00002-of-00002"):
        check_target(str(index.parent))
    second.write_bytes(first.read_bytes())
    with pytest.raises(ModelError, match=r"which none of its files holds: of another save"):
        check_target(str(index))
    second.write_bytes(content[:-4])
    with pytest.raises(ModelError, match=r"00002-of-00002\.safetensors is truncated"):
        check_target(str(index))
    second.write_bytes(content)
    for text in ("{", "{}", '{"weight_map": {"a": "../b"}}', '{"weight_map": {"a": 1}}', "[]"):
        index.write_text(text)
        with pytest.raises(ModelError, match="is no index of a checkpoint in shards"):
            check_target(str(index))
    index.unlink()
    with pytest.raises(ModelError, match=r"holds 2 files of a checkpoint in shards .* without their index"):
        check_target(str(index.parent))


def test_shards_of_another_library_are_not_taken_for_one_of_ours(sharded) -> None:
    index = sharded(keyed=False)
    with pytest.raises(ModelError, match=r"index\.json holds 2 tensors but no metadata key 'physbench'"):
        check_target(str(index.parent))
    (index.parent / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ModelError, match="is a transformers model"):
        check_target(str(index.parent))


def test_the_cache_of_a_model_names_its_snapshot(tmp_path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    with pytest.raises(ModelError, match=f"cache of a model with its snapshots. Did you mean {snapshot}"):
        check_target(str(tmp_path / "models--a--b"))

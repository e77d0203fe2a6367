"""Folders of pipelines that are damaged, or would run code, are told before anything is loaded."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_pipelines import edit_json

from physbench.models.huggingface.diffusers_folder import check_folder, folder_sha256, read_folder
from physbench.models.huggingface.diffusers_plan import make_plan
from physbench.models.load_model import check_target, find_adapter, load_model
from physbench.support.errors import ModelError


@pytest.fixture
def folder(tiny, tmp_path):
    """A copy of a tiny pipeline, to be damaged."""
    return shutil.copytree(tiny.folder("ltx_i2v"), tmp_path / "ltx")


def told(folder) -> str:
    with pytest.raises(ModelError) as caught:
        found = read_folder(folder)
        check_folder(found)
        make_plan(found, {})
    text = str(caught.value)
    assert len(text.splitlines()) <= 2
    return text


def test_a_whole_folder_passes(folder) -> None:
    check_folder(read_folder(folder))


def test_no_pipeline_at_all(tmp_path) -> None:
    assert "has no model_index.json" in told(tmp_path)
    assert "does not exist" in told(tmp_path / "gone")
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (snapshot / "model_index.json").write_text("{}")
    assert f"Did you mean {snapshot}?" in told(tmp_path / "models--a--b")
    assert "does not say which pipeline class" in told(snapshot)
    (snapshot / "model_index.json").write_text("{")
    assert "not valid JSON" in told(snapshot)


def test_what_a_modular_pipeline_would_load_from_elsewhere_is_told(tmp_path) -> None:
    """It has an index of its own alone (huggingface/diffusers#13192), with parts that may lie elsewhere."""
    where = {"pretrained_model_name_or_path": "a/b", "subfolder": "vae", "type_hint": ["diffusers", "AutoencoderKLWan"]}
    index = tmp_path / "modular_model_index.json"
    document = {"_class_name": "WanImage2VideoModularPipeline", "vae": [None, None, where]}
    index.write_text(json.dumps(document))
    assert "would load 'vae' from 'a/b'. Nothing is taken from the network" in told(tmp_path)
    assert find_adapter(str(tmp_path)).name == "diffusers"
    (tmp_path / "vae").mkdir()
    index.write_text(json.dumps({**document, "vae": [None, None, {**where, "subfolder": "../elsewhere"}]}))
    assert "'vae' is in a folder of another name, '../elsewhere': refused" in told(tmp_path)
    for broken in ("{}", '{"vae": [1], "x": [{}]}'):
        index.write_text(broken)
        assert "does not say which pipeline class" in told(tmp_path)
    index.write_text("{")
    assert "not valid JSON" in told(tmp_path)


def test_a_modular_pipeline_that_lacks_a_component_is_refused(tiny, tmp_path) -> None:
    folder = shutil.copytree(tiny.folder("modular_ltx"), tmp_path / "ltx")
    index = folder / "modular_model_index.json"
    document = json.loads(index.read_text())
    nowhere = {**document["transformer"][2], "pretrained_model_name_or_path": None}
    shutil.rmtree(folder / "transformer")
    edit_json(index, transformer=[None, None, nowhere])
    assert "lacks transformer, without which a LTXModularPipeline cannot run" in told(folder)
    del document["transformer"]
    index.write_text(json.dumps(document))
    assert "lacks transformer" in told(folder)


def test_weights_whose_class_is_found_by_themselves_are_refused(tiny, tmp_path) -> None:
    """An Auto class would take any file beside the .safetensors, in any type."""
    folder = shutil.copytree(tiny.folder("modular_ltx"), tmp_path / "ltx")
    index, hint = folder / "modular_model_index.json", ["transformers", "AutoModel"]
    source = json.loads(index.read_text())["text_encoder"][2]
    edit_json(index, text_encoder=[*hint, {**source, "type_hint": hint}])
    arguments = tiny.arguments("modular_ltx")
    with pytest.raises(ModelError, match="'text_encoder' is of AutoModel, which does not say its class"):
        load_model(str(folder), device=torch.device("cpu"), dtype=torch.float32, model_args=arguments)


def test_a_guider_of_the_folder_is_taken(tiny, tmp_path) -> None:
    from diffusers import ClassifierFreeGuidance

    folder = shutil.copytree(tiny.folder("modular_ltx"), tmp_path / "ltx")
    ClassifierFreeGuidance(guidance_scale=7.5).save_pretrained(folder / "guider")
    hint = ["diffusers", "ClassifierFreeGuidance"]
    source = {"pretrained_model_name_or_path": "a/b", "subfolder": "guider", "type_hint": hint}
    edit_json(folder / "modular_model_index.json", guider=[*hint, source])
    arguments = tiny.arguments("modular_ltx")
    model = load_model(str(folder), device=torch.device("cpu"), dtype=torch.float32, model_args=arguments)
    assert model.pipe.guider.guidance_scale == 7.5


def test_a_modular_pipeline_with_a_class_of_another_library_is_refused(tiny, tmp_path) -> None:
    folder = shutil.copytree(tiny.folder("modular_ltx"), tmp_path / "ltx")
    document = json.loads((folder / "modular_model_index.json").read_text())
    source = {**document["scheduler"][2], "type_hint": ["subprocess", "Popen"]}
    edit_json(folder / "modular_model_index.json", scheduler=[None, None, source])
    assert "the component 'scheduler' is a Popen of 'subprocess'" in told(folder)


def test_blocks_that_diffusers_has_not_are_refused(tmp_path) -> None:
    document = {"_class_name": "WanImage2VideoModularPipeline"}
    for name in ("MyBlocks", "DiffusionPipeline", 3):
        (tmp_path / "modular_model_index.json").write_text(json.dumps({**document, "_blocks_class_name": name}))
        assert f"put together from {name!r}, which diffusers" in told(tmp_path)


def test_parts_of_a_pipeline_without_an_index_are_told(folder) -> None:
    """As a training leaves them (huggingface/diffusers#3468)."""
    (folder / "model_index.json").unlink()
    with pytest.raises(ModelError, match=r"parts of a diffusers pipeline \(.*transformer.*\) and no model_index.json"):
        check_target(str(folder))


def test_weights_of_a_wrapped_network_say_so(tiny, folder) -> None:
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    save_file({f"_orig_mod.{name}": tensor for name, tensor in load_file(weights).items()}, weights)
    with pytest.raises(ModelError, match=r"Only the prefix _orig_mod\. differs, which comes from torch\.compile"):
        load_model(f"diffusers:{folder}", device=torch.device("cpu"), dtype=torch.float32)


def test_components_that_are_missing_or_half(folder) -> None:
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-100])
    assert "is truncated" in told(folder)
    weights.unlink()
    assert "has no .safetensors; expected the weights of a AutoencoderKLLTXVideo" in told(folder)
    index = {"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}
    (folder / "vae" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "vae" / "part-1.safetensors").write_bytes(content)
    assert "lacks 1 of 2 files of weights (part-2.safetensors)" in told(folder)
    (folder / "vae" / "config.json").unlink()
    assert "lacks config.json" in told(folder)
    shutil.rmtree(folder / "vae")
    assert "lacks the component 'vae' (AutoencoderKLLTXVideo)" in told(folder)


def test_pickles_and_code_are_refused(folder) -> None:
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    assert "is a pickle" in told(folder) and "safe_serialization=True" in told(folder)
    (folder / "vae" / "own.py").write_text("print('run')")
    assert "own.py is code that comes with the pipeline" in told(folder)


def test_a_pipeline_in_a_pipeline_is_refused(folder) -> None:
    """Its own components may be pickles, or bring code, deeper than what is checked here."""
    shutil.copy(folder / "model_index.json", folder / "vae")
    assert "a pipeline in a pipeline" in told(folder)


NESTED = "[" * 100_000


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("model_index.json", NESTED, "not valid JSON"),
        ("vae/config.json", NESTED, "not valid JSON"),
        ("model_index.json", '{"_class_name": []}', "does not say which pipeline class"),
        ("model_index.json", '{"_class_name": "Wan\\u001b[31m"}', "does not say which pipeline class"),
        ("model_index.json", '{"_class_name": "A", "/etc": ["diffusers", "B"]}', "'/etc' is no name of a component"),
        ("model_index.json", '{"_class_name": "A", "../etc": ["diffusers", "B"]}', "'../etc' is no name"),
        ("model_index.json", '{"_class_name": "A", "vae": ["diffusers", "B\\n"]}', r"'B\n' is no name"),
        ("model_index.json", '{"_class_name": "A", "%s": ["diffusers", "B"]}' % ("a" * 999), "is no name"),
        ("vae/a.safetensors.index.json", '{"weight_map": [1]}', "table of file names"),
        ("vae/a.safetensors.index.json", '{"weight_map": {"a": [1]}}', "table of file names"),
    ],
)
def test_documents_that_no_pipeline_writes(folder, name, text, words) -> None:
    (folder / name).write_text(text)
    with pytest.raises(ModelError) as caught:
        found = read_folder(folder)
        check_folder(found)
        found.config("vae")
    said = str(caught.value)
    assert words in said and len(said.splitlines()) == 1 and len(said) < len(str(folder)) + 300 and said.isprintable()


def test_headers_of_weights_that_no_library_writes(folder) -> None:
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    backwards = json.dumps({"a": {"dtype": "U8", "shape": [-1], "data_offsets": [1, 0]}})
    for text in ('{"a":' + NESTED, backwards):
        weights.write_bytes(len(text).to_bytes(8, "little") + text.encode())
        assert "is corrupt: its header cannot be read" in told(folder)
    weights.unlink()
    os.mkfifo(weights)  # to read from it would be to wait for ever
    assert "is not a file" in told(folder)


def test_classes_of_other_libraries_are_refused(folder) -> None:
    for library in ("own", "os", "subprocess", "diffusers.models", "../x"):
        edit_json(folder / "model_index.json", vae=[library, "Popen"])
        assert f"a Popen of '{library}'" in told(folder)
    edit_json(folder / "model_index.json", _class_name=["pipeline", "Mine"])
    assert "of its own code (pipeline), which is not run" in told(folder)


def test_the_hash_covers_weights_and_configs(folder) -> None:
    first = folder_sha256(read_folder(folder))
    (folder / "README.md").write_text("words")
    (folder / "vae" / "notes.md").write_text("words")
    assert folder_sha256(read_folder(folder)) == first
    seen = {first}
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    seen.add(folder_sha256(read_folder(folder)))
    edit_json(folder / "scheduler" / "scheduler_config.json", shift=2.0)
    seen.add(folder_sha256(read_folder(folder)))
    edit_json(folder / "model_index.json", boundary_ratio=0.5)
    seen.add(folder_sha256(read_folder(folder)))
    assert len(seen) == 4


def test_weights_of_a_variant(folder) -> None:
    vae = folder / "vae"
    shutil.copy(vae / "diffusion_pytorch_model.safetensors", vae / "diffusion_pytorch_model.fp16.safetensors")
    read = read_folder(folder)
    names = [file.name for file in read.weights("fp16") if file.parent.name == "vae"]
    assert names == ["diffusion_pytorch_model.fp16.safetensors"]
    names = [file.name for file in read.weights() if file.parent.name == "vae"]
    assert names == ["diffusion_pytorch_model.safetensors"]

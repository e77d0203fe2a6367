"""What is decided before a weight is read: sizes, rates, lengths, arguments, and what is refused."""

import json
import shutil

import pytest
from tiny_pipelines import edit_json

from physbench.models.huggingface.diffusers_folder import QUIRKS, read_folder
from physbench.models.huggingface.diffusers_load import describe_plan
from physbench.models.huggingface.diffusers_plan import frames_per_latent, make_plan, on_grid
from physbench.support.errors import ModelError


@pytest.fixture
def index_of(tmp_path):
    """A folder whose index names a class, with a config of its transformer."""

    def write(class_name, transformer=None, **options):
        (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": class_name, **options}))
        (tmp_path / "transformer").mkdir(exist_ok=True)
        (tmp_path / "transformer" / "config.json").write_text(json.dumps(transformer or {}))
        return read_folder(tmp_path)

    return write


def test_defaults_are_those_of_the_published_checkpoints(index_of) -> None:
    plan = make_plan(index_of("Cosmos2VideoToWorldPipeline"), {})
    assert plan.size == (704, 1280) and plan.card.image_size == (256, 465)
    assert plan.card.fps == 16 and plan.context == 5 and plan.card.max_horizon == 88
    assert plan.card.uses_prompt and plan.card.stochastic
    words = dict(describe_plan(plan))
    assert words["sizes"] == "clips 465x256 px, scaled to 1280x704 px for the pipeline and back, aspect kept"
    assert "fps=24" in words["rate"] and "4 k + 1" in words["context"] and "88 of them new" in words["length"]
    assert "num_inference_steps=35" in words["calls"] and "one clip a call" in words["calls"]


@pytest.mark.parametrize("name", QUIRKS)
def test_every_class_of_the_table_has_a_plan(index_of, name) -> None:
    options = {"max_frames": "9"} if name == "StableVideoDiffusionPipeline" else {}
    plan = make_plan(index_of(name), options)
    assert plan.card.max_horizon >= 8
    assert plan.size[0] % plan.quirk.multiple == plan.size[1] % plan.quirk.multiple == 0
    assert (plan.context - 1) % plan.ratio == 0 and on_grid(plan.longest, plan.lengths, up=False) == plan.longest


def test_hunyuan_1_5_answers_in_the_size_of_its_checkpoint(index_of) -> None:
    """480x848 and 720x1280 are those that its authors publish for 480 and 720 lines."""
    name = "HunyuanVideo15ImageToVideoPipeline"
    folder = index_of(name)
    assert make_plan(folder, {}).size == (480, 848)
    for part, config in (("transformer", {"target_size": 960}), ("vae", {"spatial_compression_ratio": 16})):
        (folder.path / part).mkdir(exist_ok=True)
        (folder.path / part / "config.json").write_text(json.dumps(config))
    assert make_plan(folder, {}).size == (720, 1280)
    with pytest.raises(ModelError, match=r"--model-arg width: .* takes no size. .* is 1280x720 px"):
        make_plan(folder, {"width": "64"})
    (folder.path / "transformer" / "config.json").write_text('{"target_size": 9}')
    with pytest.raises(ModelError, match=r"target_size 9 of the transformer .* cannot be right"):
        make_plan(folder, {})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"num_inference_step": "4"}, "Did you mean num_inference_steps"),
        ({"num_inference_steps": "four"}, "expected a whole number"),
        ({"num_frames": "9"}, "use max_frames"),
        ({"video": "x.mp4"}, "made for each clip"),
        ({"width": "100"}, "multiple of 16, such as 96 or 112"),
        ({"context_frames": "6"}, "reads 1, 5, 9, 13, 17, 21, ... 33 of them, or more, which repeat the first one"),
        ({"max_frames": "24"}, "4 k \\+ 1 frames, such as 21 or 25"),
        ({"max_frames": "5"}, "more than the 5 frames of the context"),
        ({"offload": "all"}, "expected model or sequential"),
        ({"fps": "7"}, "divides 1200"),
        ({"pipeline": "CogVideoXVideoToVideoPipeline"}, "changes a video"),
    ],
)
def test_arguments_that_cannot_work(index_of, given, words) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        make_plan(index_of("Cosmos2VideoToWorldPipeline"), given)
    assert len(str(caught.value).splitlines()) <= 2


def test_arguments_are_passed_by_name_and_type(index_of) -> None:
    given = {"num_inference_steps": "4", "guidance_scale": "3", "negative_prompt": "blur", "conditioning_fps": "16"}
    plan = make_plan(index_of("Cosmos2VideoToWorldPipeline"), given)
    assert plan.arguments == {"num_inference_steps": 4, "guidance_scale": 3.0, "negative_prompt": "blur", "fps": 16}
    plan = make_plan(index_of("Cosmos2VideoToWorldPipeline"), {"fps": "24", "context_frames": "9", "max_frames": "49"})
    assert (plan.card.fps, plan.context, plan.longest, plan.arguments["fps"]) == (24, 9, 49, 24)


def test_cosmos_25_keeps_one_or_five_frames(index_of) -> None:
    folder = index_of("Cosmos2_5_PredictBasePipeline")
    for frames, latents in (("1", 1), ("5", 2)):
        plan = make_plan(folder, {"context_frames": frames})
        assert plan.quirk.arguments(plan.context, 93) == {"num_latent_conditional_frames": latents}
    with pytest.raises(ModelError, match="reads 1, 5 of them"):
        make_plan(folder, {"context_frames": "9"})


def test_cosmos_3_keeps_the_last_frames_and_its_safety_checker(index_of) -> None:
    folder = index_of("Cosmos3OmniPipeline")
    for frames, latents in (("1", (0,)), ("5", (0, 1)), ("9", (0, 1, 2))):
        plan = make_plan(folder, {"context_frames": frames})
        kept = {"condition_frame_indexes_vision": latents, "condition_video_keep": "last"}
        assert plan.quirk.arguments(plan.context, 93) == kept
        assert "condition_video_keep=last" in dict(describe_plan(plan))["calls"]
    plan = make_plan(folder, {"context_frames": "73"})
    assert (plan.context, plan.card.scored_context, plan.card.max_horizon) == (73, 49, 116) and plan.card.repeat_first
    assert plan.quirk.arguments(73, 189)["condition_frame_indexes_vision"] == tuple(range(19))
    assert not make_plan(folder, {"context_frames": "49"}).card.repeat_first
    with pytest.raises(ModelError, match="more than the 189 frames of the context"):
        make_plan(folder, {"context_frames": "189"})
    for name, words in (("enable_safety_check", "licence asks"), ("condition_video_keep", "last frames are kept")):
        with pytest.raises(ModelError, match=f"{name} cannot be given: .*{words}"):
            make_plan(folder, {name: "false"})


@pytest.mark.parametrize(
    ("class_name", "words"),
    [
        ("CogVideoXVideoToVideoPipeline", "changes a video that it is given"),
        ("WanVideoToVideoPipeline", "changes a video that it is given"),
        ("AnimateDiffVideoToVideoPipeline", "changes a video that it is given"),
        ("LTXLatentUpsamplePipeline", "enlarges a video"),
        ("StableDiffusionPipeline", "answers with one image"),
        ("LTXPipeline", "from text alone.*pipeline=LTXConditionPipeline or pipeline=LTXImageToVideoPipeline"),
        ("LTX2Pipeline", "pipeline=LTX2ConditionPipeline or pipeline=LTX2ImageToVideoPipeline"),
        ("HunyuanVideoPipeline", "from text alone"),
        ("AnyFlowFARPipeline", "not known whether AnyFlowFARPipeline continues"),
        ("Cosmos2VideoToWorlPipeline", "has no pipeline .* Did you mean Cosmos2VideoToWorldPipeline"),
        ("PipelineOfTomorrow", r"has no pipeline 'PipelineOfTomorrow' \(the folder was saved by 9.9\)"),
    ],
)
def test_classes_that_do_not_continue_frames(index_of, class_name, words) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        make_plan(index_of(class_name, _diffusers_version="9.9"), {})
    assert len(str(caught.value).splitlines()) <= 2


def test_another_class_for_the_same_components(index_of) -> None:
    plan = make_plan(index_of("LTXPipeline"), {"pipeline": "LTXConditionPipeline"})
    assert plan.quirk.condition == "conditions" and plan.context == 9 and plan.ratio == 8


def test_a_class_that_is_not_in_the_table_is_called_by_its_signature(index_of) -> None:
    plan = make_plan(index_of("SanaImageToVideoPipeline"), {})
    assert plan.frame_parameter == "frames" and plan.longest == 81 and plan.size == (480, 832)
    assert plan.context == 1 and "not among those that were tried" in plan.quirk.note


def test_checkpoints_that_differ_from_their_class(index_of) -> None:
    with pytest.raises(ModelError, match="leave out the first 4 frames"):
        make_plan(index_of("HunyuanVideoImageToVideoPipeline", {"image_condition_type": "latent_concat"}), {})
    make_plan(index_of("HunyuanVideoImageToVideoPipeline", {"image_condition_type": "token_replace"}), {})
    with pytest.raises(ModelError, match="16 input channels, none of them for an image"):
        make_plan(index_of("WanImageToVideoPipeline", {"in_channels": 16, "out_channels": 16}), {})
    make_plan(index_of("WanImageToVideoPipeline", {"in_channels": 36, "out_channels": 16}), {})
    make_plan(index_of("WanPipeline", {"in_channels": 48, "out_channels": 48}, expand_timesteps=True),
              {"pipeline": "WanImageToVideoPipeline"})  # fmt: skip
    assert make_plan(index_of("CogVideoXImageToVideoPipeline", {"patch_size_t": 2}), {}).card.fps == 16


def test_frames_per_latent_of_every_autoencoder(tiny) -> None:
    for name, ratio in (("cosmos1", 4), ("cosmos2", 4), ("ltx_i2v", 4), ("ltx2_i2v", 4), ("svd", 1)):
        config = read_folder(tiny.folder(name)).config("vae")
        assert frames_per_latent(config, 1) == ratio
    assert frames_per_latent({}, 8) == 8
    assert [on_grid(frames, (4, 1), up=True) for frames in (1, 2, 5, 6)] == [1, 5, 5, 9]
    assert [on_grid(frames, (4, 1), up=False) for frames in (1, 4, 5, 6)] == [1, 1, 5, 5]


def test_the_length_of_svd_is_that_of_its_network(tiny) -> None:
    assert make_plan(read_folder(tiny.folder("svd")), {}).longest == 8


def test_a_config_that_differs_from_the_pipeline(tiny, tmp_path) -> None:
    shutil.copytree(tiny.folder("wan_i2v"), tmp_path / "wan")
    edit_json(tmp_path / "wan" / "vae" / "config.json", temperal_downsample=[True, True, True])
    assert make_plan(read_folder(tmp_path / "wan"), {}).ratio == 4, "the newer key decides"


@pytest.mark.parametrize(
    "config",
    [
        {"scale_factor_temporal": 0},
        {"scale_factor_temporal": -4},
        {"scale_factor_temporal": 10**12},
        {"temperal_downsample": [True] * 1000},
        {"spatio_temporal_scaling": [True] * 40, "patch_size_t": 1},
    ],
)
def test_numbers_of_frames_per_latent_that_cannot_be_right(index_of, config) -> None:
    folder = index_of("WanImageToVideoPipeline")
    (folder.path / "vae").mkdir()
    (folder.path / "vae" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="frames per latent frame cannot be right"):
        make_plan(folder, {})


def test_a_patch_that_is_a_word_costs_no_memory() -> None:
    assert frames_per_latent({"spatio_temporal_scaling": [True] * 40, "patch_size_t": "1"}, 8) == 8

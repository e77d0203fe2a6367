"""Video networks of transformers in local folders that are asked for their surprise: `transformers:DIR`.

V-JEPA 2 (predicts latents) and VideoMAE (fills in masked pixels). Imports neither torch nor transformers to look.

They are asked in windows of films, whose last frames they must foresee. All of a `WindowPlan` is fixed before any film
is shown: rate, length of a window, how much of it is hidden. Nothing is chosen on labels.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.models.adapter import Adapter, describe_missing_path, without_scheme
from physbench.models.huggingface.diffusers_folder import HASHED, check_component, read_json, weight_files
from physbench.models.protocol import CARD_BOUNDS, Model, SurpriseCard, check_card
from physbench.models.python_code import convert_argument
from physbench.models.unrecognised import SURPRISED, model_type, refused_folder
from physbench.support.errors import ModelError, nearest
from physbench.support.files import add_file, user_path
from physbench.world.scene import HISTORY, wrong_rate

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class WindowPlan:
    """Plan for showing films in windows.

    Attributes:
        card: For the harness.
        kind: `model_type` of the network.
        window: Frames that are encoded together.
        hidden: The last so many of them must be foreseen from those before.
        tubelet: Frames of one token, and from one window to the next.
        mean, std: Of the channels of pictures in [0, 1], which the network was trained to have subtracted.
    """

    card: SurpriseCard
    kind: str
    window: int
    hidden: int
    tubelet: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def sentences(self) -> tuple[str, ...]:
        """Notes for a reader of the run."""
        height, width = self.card.image_size
        return (
            f"{SURPRISED[self.kind]} sees films at {self.card.fps:g} frames/s in {height} x {width} px, in windows of "
            f"{self.window} frames whose last {self.hidden} it must foresee, a new window every {self.tubelet} frames.",
        )


def window_plan(path: Path, config: Mapping[str, Any], model_args: Mapping[str, str]) -> WindowPlan:
    """Plan for a network in a folder.

    model_args: Values of --model-arg: fps, window, hidden.

    Raises ModelError: an argument, or a value of the config, cannot work.
    """
    window_arguments = ("fps", "window", "hidden")
    for key in model_args:
        if key not in window_arguments:
            raise ModelError(f"There is no --model-arg {key} for transformers:DIR.{nearest(key, window_arguments)}")
    kind = str(config["model_type"])
    jepa = kind == "vjepa2"
    side = _whole(config, "crop_size" if jepa else "image_size", 256 if jepa else 224, path)
    tubelet, patch = _whole(config, "tubelet_size", 2, path), _whole(config, "patch_size", 16, path)
    if side % patch:
        raise ModelError(f"{path / 'config.json'}: patches of {patch} px do not divide pictures of {side} px.")
    most = _whole(config, "frames_per_clip" if jepa else "num_frames", 64 if jepa else 16, path)
    channels = config.get("in_chans" if jepa else "num_channels", 3)
    if channels != 3:
        raise ModelError(f"{path}: expected a network of 3 channels, its config.json says {channels!a:.40}.")
    # 8 frames/s: V-JEPA 2 was trained on 4 and more, VideoMAE on 6 to 15
    rate = convert_argument(model_args.get("fps", "8"), "float", "fps")
    if wrong := wrong_rate(rate):
        raise ModelError(f"--model-arg fps: {wrong}")
    if most < 2 * tubelet:
        raise ModelError(f"{path / 'config.json'}: {most} frames a clip leave nothing to foresee.")
    window = convert_argument(model_args.get("window", str(min(16, most))), "int", "window")  # frames
    if not jepa and window != most:
        raise ModelError(f"--model-arg window={window}: this VideoMAE knows windows of {most} frames alone.")
    usual = max(tubelet, window // 4 // tubelet * tubelet)  # a fourth of a window is hidden
    hidden = convert_argument(model_args.get("hidden", str(usual)), "int", "hidden")
    if not 2 * tubelet <= window <= most or window % tubelet:
        raise ModelError(
            f"--model-arg window={window}: expected {2 * tubelet} to {most} frames, a multiple of {tubelet}."
        )
    if not tubelet <= hidden <= window - tubelet or hidden % tubelet:
        raise ModelError(
            f"--model-arg hidden={hidden}: expected {tubelet} to {window - tubelet} frames, a multiple of {tubelet}."
        )
    surprise_units = {"vjepa2": "L1 between layer-normed latents", "videomae": "squared error of masked patches"}
    card = SurpriseCard(
        name=path.absolute().name[: CARD_BOUNDS.name],
        image_size=(side, side),
        fps=rate,
        context_frames=window - 1,
        unit=surprise_units[kind],
        sees=(window - hidden) / rate,
    )
    if window - 1 > card.history_frames:
        raise ModelError(
            f"--model-arg window={window}: at {rate:g} frames/s a film has {card.history_frames} frames in the "
            f"{HISTORY:g} s before it begins to be judged, and {window - 1} are needed. Give a higher fps or a shorter "
            "window."
        )
    mean, std = _normalisation(path)
    check_card(card)
    return WindowPlan(card, kind, window, hidden, tubelet, mean, std)


def _whole(config: Mapping[str, Any], key: str, default: int, path: Path) -> int:
    """A whole number above 0 of the config; of a size with two sides that are the same, one of them."""
    value = config.get(key, default)
    if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    if type(value) is not int or value < 1:
        raise ModelError(f"{path / 'config.json'}: expected {key} to be a whole number, got {value!a:.40}.")
    return value


def _normalisation(path: Path) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of the channels, as the preprocessor beside the network has them; else ImageNet's."""
    for name in ("video_preprocessor_config.json", "preprocessor_config.json"):
        if not (path / name).is_file():
            continue
        document = read_json(path / name)
        mean, std = _three(document.get("image_mean")), _three(document.get("image_std"))
        if mean is None or std is None or min(std) <= 0:
            raise ModelError(f"{path / name}: expected image_mean and image_std of three numbers, those above 0.")
        return mean, std
    return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


def _three(values: object) -> tuple[float, float, float] | None:
    if not isinstance(values, list) or len(values) != 3:
        return None
    if not all(isinstance(value, int | float) and abs(value) < 1e6 for value in values):
        return None
    return float(values[0]), float(values[1]), float(values[2])


INSTALL_TRANSFORMERS = 'pip install "physbench[transformers]"'


class TransformersAdapter(Adapter):
    """A V-JEPA 2 or VideoMAE in the format of `save_pretrained`."""

    name = "transformers"

    @property
    def summary(self) -> str:
        missing = importlib.util.find_spec("transformers") is None
        state = f"needs {INSTALL_TRANSFORMERS}" if missing else f"transformers {version('transformers')}"
        kinds = " or ".join(SURPRISED.values())
        return f"transformers:DIR  {kinds} in a local folder, on --suite expectation ({state})"

    def recognises(self, target: str) -> bool:
        return model_type(Path(target)) in SURPRISED

    def _folder(self, target: str) -> Path:
        return user_path(without_scheme(target, self.name))

    def check(self, target: str) -> None:
        path = self._folder(target)
        kind = model_type(path)
        if kind not in SURPRISED:
            raise ModelError(refused_folder(path) or _unknown(path, kind))
        if importlib.util.find_spec("transformers") is None:
            raise ModelError(f"{target} needs transformers: {INSTALL_TRANSFORMERS}")
        network_classes = {"vjepa2": "VJEPA2Model", "videomae": "VideoMAEForPreTraining"}
        check_component(path, network_classes[kind])
        architectures = read_json(path / "config.json").get("architectures") or []
        # a network that was saved without what foresees
        if (
            kind == "videomae"
            and isinstance(architectures, list)
            and any(str(name).endswith("ForVideoClassification") for name in architectures)
        ):
            raise ModelError(
                f"{path} is a VideoMAE that was tuned to name actions: its decoder, which foresees, is not in it."
            )

    def check_arguments(self, target: str, model_args: Mapping[str, str]) -> None:
        self._plan(target, model_args)

    def sha256(self, target: str) -> str | None:
        path = self._folder(target)
        digest = hashlib.sha256()
        weights = set(weight_files(path))
        files = sorted(path.iterdir()) if path.is_dir() else []
        for file in files:
            if file in weights or (file.is_file() and file.suffix in HASHED and file.suffix != ".safetensors"):
                digest.update(f"\n{file.name} {file.stat().st_size}\n".encode())
                add_file(digest, file)
        return digest.hexdigest()

    def describe(self, target: str, model_args: Mapping[str, str]) -> list[tuple[str, str]]:
        """Treatment of films, as (name, text), from the config; see `DescribedAdapter`."""
        plan = self._plan(target, model_args)
        height, width = plan.card.image_size
        return [
            ("network", SURPRISED[plan.kind]),
            ("pictures", f"{height} x {width} px, {plan.card.fps:g} frames/s"),
            ("windows", f"{plan.window} frames, of which the last {plan.hidden} must be foreseen"),
            ("surprise", plan.card.unit),
        ]

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        from physbench.models.huggingface.window_surprise import load_surprised

        return load_surprised(self._folder(target), self._plan(target, model_args), device, dtype)

    def _plan(self, target: str, model_args: Mapping[str, str]) -> WindowPlan:
        path = self._folder(target)
        config: dict[str, Any] = read_json(path / "config.json")
        return window_plan(path, config, model_args)


def _unknown(path: Path, kind: str | None) -> str:
    if not path.exists():
        return describe_missing_path(path)
    what = "has no config.json that says what it is" if kind is None else f"holds a {kind!a:.40}"
    return f"{path} {what}; transformers:DIR asks {' and '.join(SURPRISED.values())}."


adapter = TransformersAdapter()

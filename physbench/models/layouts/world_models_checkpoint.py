"""VAE and MDN-RNN of "World Models" from the two checkpoints that ctallec/world-models trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from physbench.models.layouts.layout_adapter import LayoutAdapter, load_named, names_in, read_document
from physbench.models.protocol import ModelCard, checked_actions
from physbench.models.unrecognised import describe_unrecognised
from physbench.support.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from physbench.models.layouts.world_models_network import FrameVae, MixtureRnn, WorldModelsSizes

FILES = {"vae": "vae/best.tar", "mdrnn": "mdrnn/best.tar"}
MARKS = {
    "vae": {"encoder.fc_logsigma.weight", "decoder.deconv4.weight"},
    "mdrnn": {"gmm_linear.weight", "rnn.weight_ih_l0"},
}
# Our modules and parameters, and their names in the files.
VAE_NAMES = {
    f"{half}.{layer}": f"{half}.{layer}"
    for half, layers in (
        ("encoder", ("conv1", "conv2", "conv3", "conv4", "fc_mu", "fc_logsigma")),
        ("decoder", ("fc1", "deconv1", "deconv2", "deconv3", "deconv4")),
    )
    for layer in layers
}
MDRNN_NAMES = {
    "gmm_linear": "gmm_linear",
    **{f"rnn.{kind}": f"rnn.{kind}_l0" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
}


class WorldModelsModel:
    """The FrameModel: encoded context frames go through the LSTM, then latents that are drawn and decoded."""

    def __init__(
        self, vae: FrameVae, mdrnn: MixtureRnn, card: ModelCard, assumptions: Sequence[str], temperature: float
    ) -> None:
        self.vae, self.mdrnn, self.card = vae, mdrnn, card
        self.assumptions, self.temperature = tuple(assumptions), temperature
        self.run_settings = {"layout": "ctallec/world-models", "temperature": str(temperature)}

    def rollout(
        self,
        context: Tensor,
        *,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Iterator[Tensor]:
        """Frames (B, 1, 3, 64, 64), one by one."""
        import torch

        batch, count = context.shape[:2]
        seen = self.vae.encoder(context.flatten(0, 1)).view(batch, count, -1)
        width = self.mdrnn.sizes.actions
        if not self.card.uses_actions:
            actions = seen.new_zeros(batch, count + horizon, width)
        actions = checked_actions(actions, self.card, width)
        after = torch.cat([actions[:, 1:], torch.zeros_like(actions[:, :1])], 1)  # that lead on from each frame
        state = None
        for k in range(count):
            state = self.mdrnn.advance(seen[:, k], after[:, k], state)
        for k in range(count, count + horizon):
            assert state is not None
            latent = self.mdrnn.draw(state[0], self.temperature, generators)
            yield self.vae.decoder(latent)[:, None]
            state = self.mdrnn.advance(latent, after[:, k], state)


def _kind(path: Path) -> str | None:
    """Kind of a checkpoint, by the names in it; None: neither of the two."""
    names = names_in(path)
    return next((kind for kind, marks in MARKS.items() if names.plain and marks <= names.texts), None)


def _folder(path: Path) -> Path:
    """The folder of both files."""
    return path if path.is_dir() else (path if len(path.parts) > 2 else path.resolve()).parent.parent


def _state(path: Path, kind: str) -> dict[str, Tensor]:
    document = read_document(path)
    state = document.get("state_dict", document)
    if not isinstance(state, Mapping) or not MARKS[kind] <= set(state):
        raise ModelError(f"{path}: its 'state_dict' lacks {', '.join(sorted(MARKS[kind]))}.")
    return dict(state)


def _sizes(vae: Mapping[str, Tensor], mdrnn: Mapping[str, Tensor], where: Path) -> WorldModelsSizes:
    from physbench.models.layouts.world_models_network import END_OUTPUTS, WorldModelsSizes

    latent = vae["encoder.fc_logsigma.weight"].shape[0]
    gates, inputs = mdrnn["rnn.weight_ih_l0"].shape
    gaussians, rest = divmod(mdrnn["gmm_linear.weight"].shape[0] - END_OUTPUTS, 2 * latent + 1)
    if rest or gaussians < 1 or inputs < latent:
        raise ModelError(
            f"{where}: the VAE has latents of {latent} numbers, which do not fit the {inputs} inputs and "
            f"{mdrnn['gmm_linear.weight'].shape[0]} outputs of the MDN-RNN. Were they trained together?"
        )
    return WorldModelsSizes(latent=latent, hidden=gates // 4, gaussians=gaussians, actions=inputs - latent)


def make_world_models(
    path: Path,
    /,
    *,
    device: torch.device,
    dtype: torch.dtype,
    fps: float = 50.0,
    context: int = 32,  # frames of a training sequence
    temperature: float = 1.0,
    actions: bool = False,
) -> WorldModelsModel:
    """Make the model of a folder with both checkpoints.

    Args:
        path: The folder, or one of the files in it.
        device: Where the model runs.
        dtype: Type of its weights.
        fps: Frames/s at which it was trained; those of CarRacing by default.
        context: Number of frames that it observes.
        actions: Whether it is given actions in its own space, of a file of `--actions`; else they are zeros.
        temperature: Of the mixture, both of its weights and of its variances; 0: the likeliest mean.

    Raises ModelError: an argument is out of range, or the tensors do not fit.
    """
    from physbench.models.layouts.world_models_network import SIDE, FrameVae, MixtureRnn

    if not 0 <= temperature < float("inf"):
        raise ModelError(f"--model-arg temperature={temperature:g}: expected 0 or more.")
    folder = _folder(path)
    paths = {kind: folder / file for kind, file in FILES.items()}
    states = {kind: _state(file, kind) for kind, file in paths.items()}
    sizes = _sizes(states["vae"], states["mdrnn"], folder)
    vae, mdrnn = FrameVae(sizes.latent), MixtureRnn(sizes)
    load_named(vae, states["vae"], VAE_NAMES, str(paths["vae"]))
    load_named(mdrnn, states["mdrnn"], MDRNN_NAMES, str(paths["mdrnn"]))
    card = ModelCard("world-models", (SIDE, SIDE), fps, context, stochastic=temperature > 0, uses_actions=actions)
    assumptions = [
        f"The {sizes.actions} numbers of an action are those of --actions."
        if actions
        else f"The {sizes.actions} numbers of an action, which no push here means, are zeros.",
        f"Taken to be trained at {fps:g} frames/s, which the file does not say (--model-arg fps).",
    ]
    return WorldModelsModel(
        vae.eval().to(device, dtype), mdrnn.eval().to(device, dtype), card, assumptions, temperature
    )


class WorldModelsAdapter(LayoutAdapter):
    """A folder with the checkpoints of a VAE and an MDN-RNN, or one of these files."""

    name = "world-models"
    summary = "path/to/logdir  VAE and MDN-RNN of ctallec/world-models, in vae/best.tar and mdrnn/best.tar"
    make = staticmethod(make_world_models)

    def belongs(self, path: Path) -> bool:
        if path.is_dir():
            return any(_kind(path / file) == kind for kind, file in FILES.items())
        return _kind(path) is not None

    def files(self, path: Path) -> list[Path]:
        folder = _folder(path)
        paths = {kind: folder / file for kind, file in FILES.items()}
        lacks = {
            "vae": "an MDN-RNN, which predicts latents: without its VAE they cannot be shown",
            "mdrnn": "a VAE, which encodes and decodes single frames: without its MDN-RNN it predicts nothing",
        }
        for kind, file in paths.items():
            if not file.is_file():
                raise ModelError(
                    f"{path} is {lacks[kind]}.\nExpected {file} beside it; give the folder that holds "
                    f"{' and '.join(FILES.values())}."
                )
            if _kind(file) != kind:
                raise ModelError(describe_unrecognised(str(file)))
        return list(paths.values())


adapter = WorldModelsAdapter()

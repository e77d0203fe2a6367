"""DreamerV3 world models from the checkpoints of two code bases: names of tensors, and loading."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from physbench.models.layouts.layout_adapter import LayoutAdapter, load_named, names_in, read_document
from physbench.models.protocol import ModelCard, checked_actions
from physbench.support.errors import ModelError, nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from physbench.models.layouts.dreamer_network import DreamerNet

# Names of the tensors of a DreamerV3 world model in the checkpoints of two code bases.


@dataclass(frozen=True)
class DreamerLayout:
    """Names of one code base for its world model. All names are without the prefix of the world model."""

    code: str
    prefixes: tuple[str, ...]  # that the names of the world model may have in the file
    mark: str  # a tensor that every checkpoint has, whatever it observes
    pictures: str  # prefix of the encoder of pictures
    vectors: str  # prefix of the encoder of vectors
    frames: str  # prefix of the decoder of pictures
    ignored: tuple[str, ...]  # prefixes of what predicts no frames
    dense: Mapping[str, str]  # our modules and parameters outside the convolutions
    convolutions: Mapping[str, str]  # our stacks of convolutions; {} is the number of a layer
    norm: str  # what follows the number of a normalisation
    bare_step: int  # layers from one convolution to the next where nothing is normalised
    state_first: bool
    spread_channels_last: bool

    def prefix(self, names: Iterable[str]) -> str | None:
        """The prefix of the world model among the names in a checkpoint; None: it is not in this layout."""
        known = frozenset(names)
        return next((prefix for prefix in self.prefixes if prefix + self.mark in known), None)

    def names(self, tensors: Iterable[str]) -> dict[str, str]:
        """Their name of each of our modules and parameters, for a checkpoint with these tensors."""
        names_of_parts = dict(self.dense)
        tensors = list(tensors)
        block_layers = 3  # convolution, normalisation, activation
        for part, pattern in self.convolutions.items():
            before, after = map(re.escape, pattern.split("{}"))
            hits = [hit for name in tensors if (hit := re.match(rf"{before}(\d+){after}(.*)\.(weight|bias)$", name))]
            numbers = [int(hit[1]) for hit in hits]
            normed = any(hit[2] == self.norm and int(hit[1]) % block_layers == 1 for hit in hits)
            step = block_layers if normed else self.bare_step
            for i in range(max(numbers, default=-1) // step + 1):
                names_of_parts[f"{part}.{i}.conv"] = pattern.format(step * i)
                names_of_parts[f"{part}.{i}.norm"] = pattern.format(step * i + 1) + self.norm
        return names_of_parts


DREAMERV3_TORCH = DreamerLayout(
    code="dreamerv3-torch",
    prefixes=("_wm._orig_mod.", "_wm."),  # compiled, and not
    mark="dynamics._cell.layers.GRU_linear.weight",
    pictures="encoder._cnn.",
    vectors="encoder._mlp.",
    frames="heads.decoder._cnn.",
    ignored=("heads.reward.", "heads.cont.", "heads.decoder._mlp."),
    dense={
        "rssm.start": "dynamics.W",
        "rssm.step_in.linear": "dynamics._img_in_layers.0",
        "rssm.step_in.norm": "dynamics._img_in_layers.1",
        "rssm.gru.linear": "dynamics._cell.layers.GRU_linear",
        "rssm.gru.norm": "dynamics._cell.layers.GRU_norm",
        "rssm.prior_hidden.linear": "dynamics._img_out_layers.0",
        "rssm.prior_hidden.norm": "dynamics._img_out_layers.1",
        "rssm.prior_stats": "dynamics._imgs_stat_layer",
        "rssm.post_hidden.linear": "dynamics._obs_out_layers.0",
        "rssm.post_hidden.norm": "dynamics._obs_out_layers.1",
        "rssm.post_stats": "dynamics._obs_stat_layer",
        "decoder.spread": "heads.decoder._cnn._linear_layer",
    },
    convolutions={"encoder": "encoder._cnn.layers.{}", "decoder.layers": "heads.decoder._cnn.layers.{}"},
    norm=".norm",
    bare_step=2,
    state_first=False,
    spread_channels_last=True,
)

SHEEPRL = DreamerLayout(
    code="sheeprl",
    prefixes=("",),
    mark="rssm.initial_recurrent_state",  # which its Dreamer V1 and V2 have not
    pictures="encoder.cnn_encoder.",
    vectors="encoder.mlp_encoder.",
    frames="observation_model.cnn_decoder.",
    ignored=("reward_model.", "continue_model.", "observation_model.mlp_decoder."),
    dense={
        "rssm.start": "rssm.initial_recurrent_state",
        "rssm.step_in.linear": "rssm.recurrent_model.mlp._model.0",
        "rssm.step_in.norm": "rssm.recurrent_model.mlp._model.1",
        "rssm.gru.linear": "rssm.recurrent_model.rnn.linear",
        "rssm.gru.norm": "rssm.recurrent_model.rnn.layer_norm",
        "rssm.prior_hidden.linear": "rssm.transition_model._model.0",
        "rssm.prior_hidden.norm": "rssm.transition_model._model.1",
        "rssm.prior_stats": "rssm.transition_model._model.3",
        "rssm.post_hidden.linear": "rssm.representation_model._model.0",
        "rssm.post_hidden.norm": "rssm.representation_model._model.1",
        "rssm.post_stats": "rssm.representation_model._model.3",
        "decoder.spread": "observation_model.cnn_decoder.model.0",
    },
    convolutions={
        "encoder": "encoder.cnn_encoder.model.0._model.{}",
        "decoder.layers": "observation_model.cnn_decoder.model.2._model.{}",
    },
    norm="",
    bare_step=3,
    state_first=True,
    spread_channels_last=False,
)

LAYOUTS = (DREAMERV3_TORCH, SHEEPRL)


WRAP = "Wrap it in a few lines of Python, my_model.py:make."


class DreamerModel:
    """The FrameModel: posterior states over the context, prior states from there on."""

    def __init__(
        self,
        net: DreamerNet,
        card: ModelCard,
        assumptions: Sequence[str],
        run_settings: dict[str, str],
        action: Tensor,
        sample: bool,
    ) -> None:
        self.net, self.card, self.assumptions = net, card, tuple(assumptions)
        self.run_settings = run_settings
        self.action, self.sample = action, sample  # (A,)

    def rollout(
        self,
        context: Tensor,
        *,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Iterator[Tensor]:
        """Frames (B, 1, 3, H, W), one by one."""
        draws = generators if self.sample else None
        batch, seen = context.shape[:2]
        if not self.card.uses_actions:
            actions = self.action.expand(batch, seen + horizon, -1)
        actions = checked_actions(actions, self.card, len(self.action))
        deter, stoch = self.net.observe(context, actions[:, :seen], draws)
        for k in range(seen, seen + horizon):
            deter, stoch = self.net.imagine(deter, stoch, actions[:, k], draws)
            yield self.net.decode(deter, stoch).clamp(0, 1)[:, None]


def _find_layout(path: Path) -> DreamerLayout | None:
    names = names_in(path)
    return next((each for each in LAYOUTS if names.plain and each.prefix(names.texts) is not None), None)


def _world_model(path: Path, layout: DreamerLayout) -> tuple[str, dict[str, Tensor]]:
    """Prefix in the file, and the tensors of the world model without it."""
    document = read_document(path)
    for table in (document, *(value for value in document.values() if isinstance(value, Mapping))):
        prefix = layout.prefix(name for name in table if isinstance(name, str))
        if prefix is not None:
            weights = {name.removeprefix(prefix): table[name] for name in table if name.startswith(prefix)}
            return prefix, {name: value for name, value in weights.items() if not name.startswith(layout.ignored)}
    raise ModelError(f"{path} names the tensors of {layout.code} but does not hold them in one table. {WRAP}")


def make_dreamer(
    path: Path,
    /,
    *,
    device: torch.device,
    dtype: torch.dtype,
    fps: float = 20.0,
    context: int = 5,
    sample: bool = True,
    action: int = -1,
    actions: bool = False,
    classes: int = 32,
    act: str = "SiLU",
    unimix: float = 0.01,
    mean_act: str = "none",
    std_act: str = "sigmoid2",
    min_std: float = 0.1,
    cnn_sigmoid: bool = False,
) -> DreamerModel:
    """Make the model of a checkpoint. All defaults but the first four are those of the training codes.

    Args:
        device: Where the model runs.
        dtype: Type of its weights.
        fps: Frames/s at which it was trained.
        context: Number of frames that it observes.
        sample: Draw states; else the most probable ones are taken.
        action: Index of the discrete action to take at all times; -1: all zeros.
        actions: Whether it is given actions in its own space, of a file of `--actions`, instead.
        classes: Classes of each categorical variable.
        act: Activation, by its name in torch.nn.
        unimix: Share of the uniform distribution in each categorical one.
        mean_act: Function of the means of normal variables.
        std_act: Function of their standard deviations.
        min_std: Smallest standard deviation.
        cnn_sigmoid: Whether the decoder ends in a sigmoid.

    Raises ModelError: an argument is out of range, or the tensors do not fit.
    """
    import torch

    from physbench.models.layouts.dreamer_network import (
        MEAN_FUNCTIONS,
        SPREAD_FUNCTIONS,
        DreamerNet,
        DreamerSettings,
        read_sizes,
    )

    for key, value, known in (
        ("act", act, ("SiLU", "ELU", "ReLU", "GELU", "LeakyReLU", "Tanh")),
        ("mean_act", mean_act, MEAN_FUNCTIONS),
        ("std_act", std_act, SPREAD_FUNCTIONS),
    ):
        if value not in known:
            raise ModelError(f"--model-arg {key}={value}: there is no such function.{nearest(value, list(known))}")
    if not 0 <= unimix < 1:
        raise ModelError(f"--model-arg unimix={unimix:g}: expected a share from 0 to below 1.")
    layout = _find_layout(path)
    assert layout is not None
    prefix, tensors = _world_model(path, layout)
    names = layout.names(tensors)
    sizes = read_sizes({name: tuple(tensor.shape) for name, tensor in tensors.items()}, names, str(path))
    if sizes.discrete and (classes < 1 or sizes.stoch % classes):
        raise ModelError(f"--model-arg classes={classes}: the state has {sizes.stoch} numbers, which it must divide.")
    if not -1 <= action < sizes.actions:
        raise ModelError(f"--model-arg action={action}: expected 0 to {sizes.actions - 1}, or -1 for zeros.")
    settings = DreamerSettings(
        classes=classes,
        act=act,
        unimix=unimix,
        mean_act=mean_act,
        std_act=std_act,
        min_std=min_std,
        sigmoid=cnn_sigmoid,
        state_first=layout.state_first,
        spread_channels_last=layout.spread_channels_last,
    )
    net = DreamerNet(sizes, settings)
    load_named(net, tensors, names, str(path), prefix)
    constant = torch.zeros(sizes.actions)
    if action >= 0:
        constant[action] = 1
    card = ModelCard("dreamer", (sizes.image, sizes.image), fps, context, stochastic=sample, uses_actions=actions)
    words = "zeros" if action < 0 else f"action {action} at all times"
    assumptions = [
        f"The {sizes.actions} numbers of an action are those of --actions."
        if actions
        else f"The {sizes.actions} numbers of an action, which no push here means, are {words}.",
        f"Read as {layout.code}: {fps:g} frames/s, {act}, "
        + (f"{sizes.stoch // classes} x {classes} classes, unimix {unimix:g}" if sizes.discrete else f"std {std_act}")
        + "; the file does not say so (--model-arg).",
    ]
    stated = {"layout": layout.code, "sample": sample, "action": action, **asdict(settings)}
    run_settings = {name: str(value) for name, value in stated.items()}
    net = net.eval().to(device, dtype)
    return DreamerModel(net, card, assumptions, run_settings, constant.to(device, dtype), sample)


class DreamerAdapter(LayoutAdapter):
    """A checkpoint with the tensors of a DreamerV3 world model, whatever its name."""

    name = "dreamer"
    summary = "path/to/latest.pt, ckpt_*.ckpt  a DreamerV3 world model of dreamerv3-torch or sheeprl"
    make = staticmethod(make_dreamer)

    def belongs(self, path: Path) -> bool:
        return _find_layout(path) is not None

    def files(self, path: Path) -> list[Path]:
        layout = _find_layout(path)
        if layout is None:
            raise ModelError(f"{path} holds no world model of {' or '.join(each.code for each in LAYOUTS)}.")
        names = names_in(path).texts
        prefix = layout.prefix(names)

        def has(part: str) -> bool:
            return any(name.startswith(f"{prefix}{part}") for name in names)

        what = f"{path} is a DreamerV3 world model of {layout.code}"
        if not has(layout.pictures):
            raise ModelError(f"{what} that observes vectors and no pictures: there are no frames to give or take.")
        if has(layout.vectors):
            raise ModelError(
                f"{what} that observes vectors of its environment beside pictures, and no scene here has them.\n{WRAP}"
            )
        if not has(layout.frames):
            raise ModelError(f"{what} without a decoder of pictures ({prefix}{layout.frames}*): it predicts no frames.")
        return [path]


adapter = DreamerAdapter()

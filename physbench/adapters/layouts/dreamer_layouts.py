"""Names of the tensors of a DreamerV3 world model in the checkpoints of two code bases."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BLOCK_LAYERS = 3  # convolution, normalisation, activation


@dataclass(frozen=True)
class DreamerLayout:
    """How one code base names its world model. All names are without the prefix of the world model."""

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
        found = dict(self.dense)
        tensors = list(tensors)
        for part, pattern in self.convolutions.items():
            before, after = map(re.escape, pattern.split("{}"))
            hits = [hit for name in tensors if (hit := re.match(rf"{before}(\d+){after}(.*)\.(weight|bias)$", name))]
            numbers = [int(hit[1]) for hit in hits]
            normed = any(hit[2] == self.norm and int(hit[1]) % BLOCK_LAYERS == 1 for hit in hits)
            step = BLOCK_LAYERS if normed else self.bare_step
            for i in range(max(numbers, default=-1) // step + 1):
                found[f"{part}.{i}.conv"] = pattern.format(step * i)
                found[f"{part}.{i}.norm"] = pattern.format(step * i + 1) + self.norm
        return found


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

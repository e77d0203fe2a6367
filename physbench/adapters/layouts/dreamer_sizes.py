"""Reads the sizes of a DreamerV3 world model from the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

from physbench.adapters.layouts.dreamer_network import DreamerSizes
from physbench.adapters.layouts.layout_adapter import their_name
from physbench.errors import ModelError

PICTURE_CHANNELS = 3


def read_sizes(shapes: Mapping[str, tuple[int, ...]], names: Mapping[str, str], where: str) -> DreamerSizes:
    """The sizes of a world model.

    Args:
        shapes: Shapes by their names, all tensors of the world model.
        names: Their name of each of our modules and parameters.
        where: Start of a message.

    Raises:
        ModelError: A tensor that decides a size is missing, or the sizes contradict one another.
    """

    def shape(own: str, dimensions: int) -> tuple[int, ...]:
        name = their_name(own, names) if own.rpartition(".")[0] in names else own
        if name not in shapes:
            raise ModelError(f"{where} lacks {name}.")
        if len(shapes[name]) != dimensions:
            raise ModelError(f"{where} has {name} {shapes[name]}, where {dimensions} dimensions belong.")
        return shapes[name]

    def stages(part: str) -> int:
        return len([own for own in names if own.startswith(f"{part}.") and own.endswith(".conv")])

    def has(own: str) -> bool:
        return own.rpartition(".")[0] in names and their_name(own, names) in shapes

    encoder = [shape(f"encoder.{i}.conv.weight", 4) for i in range(stages("encoder"))]
    decoder = [shape(f"decoder.layers.{i}.conv.weight", 4) for i in range(stages("decoder.layers"))]
    into, step_in = shape("rssm.step_in.linear.weight", 2)
    deter = shape("rssm.gru.linear.weight", 2)[0] // 3
    prior = shape("rssm.prior_hidden.linear.weight", 2)[0]
    post, seen = shape("rssm.post_hidden.linear.weight", 2)
    features = shape("decoder.spread.weight", 2)[1]
    stats = shape("rssm.prior_stats.weight", 2)[0]
    stoch, embed = features - deter, seen - deter
    start = names["rssm.start"]
    if not encoder or not decoder:
        raise ModelError(f"{where} lacks the convolutions of its {'decoder' if encoder else 'encoder'}.")
    if stats not in (stoch, 2 * stoch):
        raise ModelError(f"{where} draws states from {stats} numbers, but its decoder takes {stoch}.")
    for colours, what in ((encoder[0][1], "observes"), (decoder[-1][1], "predicts")):
        if colours != PICTURE_CHANNELS:
            raise ModelError(
                f"{where} {what} pictures of {colours} channels; objects are recognised by their colour, so that "
                f"{PICTURE_CHANNELS} are needed."
            )
    side = isqrt(max(embed, 0) // encoder[-1][0])
    if side < 1 or side**2 * encoder[-1][0] != embed:
        raise ModelError(
            f"{where} takes {embed} numbers from its encoder, which no square map of {encoder[-1][0]} channels has: "
            "it may be the decoupled model, which is not read."
        )
    if len(encoder) != len(decoder):
        raise ModelError(f"{where} halves pictures {len(encoder)} times but doubles them {len(decoder)} times.")
    return DreamerSizes(
        encoder=(PICTURE_CHANNELS, *(weight[0] for weight in encoder)),
        decoder=(decoder[0][0], *(weight[1] for weight in decoder)),
        side=side,
        encoder_kernel=encoder[0][2],
        decoder_kernel=decoder[0][2],
        deter=deter,
        stoch=stoch,
        discrete=stats == stoch,
        actions=step_in - stoch,
        hidden=(into, prior, post),
        learned_start=(*shapes[start][:-1], deter) if start in shapes else None,
        normed=has("rssm.gru.norm.weight"),
        encoder_normed=has("encoder.0.norm.weight"),
        decoder_normed=has("decoder.layers.0.norm.weight"),
    )

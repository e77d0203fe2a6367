"""A ConvLSTM that others trained on Moving MNIST, evaluated as it is.

    git clone https://github.com/bharathsivaram10/Video-Prediction
    git -C Video-Prediction checkout a0de791
    physbench eval examples/public_checkpoints/moving_mnist_convlstm.py:make --suite smoke \
        --model-arg weights=Video-Prediction/moving_mnist_tf.pth

The network below has the layout of that checkpoint (4 layers of 32 channels, frames encoded to 16 x 16).
"""

import torch
from torch import nn

from physbench import ModelCard

CONTEXT, CHANNELS, LAYERS = 10, 32, 4


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2 * CHANNELS, 4 * CHANNELS, 5, padding=2)

    def forward(self, x, state):
        hidden, cell = state
        i, f, o, g = self.conv(torch.cat([x, hidden], 1)).chunk(4, 1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        return o.sigmoid() * cell.tanh(), cell


class ConvLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer_list = nn.ModuleList(Cell() for _ in range(LAYERS))

    def forward(self, x, states):
        found = []
        for layer, state in zip(self.layer_list, states, strict=True):
            found.append(layer(x, state))
            x = found[-1][0]
        return found


class Convolutions(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.conv = nn.ModuleList(layers)

    def forward(self, x):
        for layer in self.conv:
            x = layer(x)
        return x


def block(convolution):
    return nn.Sequential(convolution, nn.GroupNorm(16, convolution.out_channels), nn.LeakyReLU(0.2))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        half = CHANNELS // 2
        self.frame_encoder = Convolutions(
            block(nn.Conv2d(1, half, 3, 2, 1)),
            block(nn.Conv2d(half, half, 3, 1, 1)),
            block(nn.Conv2d(half, CHANNELS, 3, 2, 1)),
        )
        self.frame_decoder = Convolutions(
            block(nn.ConvTranspose2d(CHANNELS, half, 3, 2, 1, output_padding=1)),
            block(nn.ConvTranspose2d(half, half, 3, 1, 1)),
            nn.ConvTranspose2d(half, 1, 3, 2, 1, output_padding=1),
        )
        self.model = ConvLSTM()

    def forward(self, frames, horizon):
        """Grey frames (B, C, 1, 64, 64), bright on black -> `horizon` frames (B, 1, 64, 64), one by one."""
        empty = frames.new_zeros(len(frames), CHANNELS, 16, 16)
        states = [(empty, empty)] * LAYERS
        for t in range(frames.shape[1]):
            states = self.model(self.frame_encoder(frames[:, t]), states)
        for _ in range(horizon):
            states = self.model(states[-1][0], states)
            yield self.frame_decoder(states[-1][0])


class MovingMnist:
    card = ModelCard("moving-mnist-convlstm", image_size=(64, 64), fps=10, context_frames=CONTEXT)

    def __init__(self, net):
        self.net = net.eval()

    def rollout(self, context, *, horizon, actions, prompts, generators):
        # It knows bright shapes on black, in grey: each colour channel is a video of its own, as the difference from
        # the background, whose colour most of the picture has.
        batch = len(context)
        background = context[:, -1].flatten(2).median(-1).values[:, :, None, None]  # (B, 3, 1, 1)
        grey = (background[:, None] - context).permute(0, 2, 1, 3, 4).flatten(0, 1)[:, :, None]  # (3 B, C, 1, 64, 64)
        sign = grey.flatten(1).sum(1).sign().view(-1, 1, 1, 1)  # bodies may be darker or lighter than the background
        for frame in self.net(grey * sign[:, None], horizon):
            yield (background - (frame * sign).view(batch, 3, 64, 64)).clamp(0, 1)[:, None]


def make(*, device, dtype, weights):
    net = Network()
    net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return MovingMnist(net.to(device, dtype))

"""A next-frame network with a learned prior, in the layout of edenton/svg (SVG-LP, dcgan, 64 px).

    physbench eval examples/stochastic_video.py:make --samples 8 --model-arg weights=svg.pt

Its checkpoints are pickled modules. Save their tensors once, where that code is installed and you trust the file:

    saved = torch.load("model.pth", map_location="cpu", weights_only=False)
    parts = ("encoder", "decoder", "frame_predictor", "posterior", "prior")
    torch.save({name: saved[name].state_dict() for name in parts}, "svg.pt")
"""

import torch
from torch import nn

from physbench import ModelCard, SteppedModel


def block(conv, inputs, outputs, *shape, end=None):
    return nn.Sequential(conv(inputs, outputs, *shape), nn.BatchNorm2d(outputs), end or nn.LeakyReLU(0.2))


class Scaled(nn.Module):
    """Halves or doubles the sides of a picture."""

    def __init__(self, conv, inputs, outputs):
        super().__init__()
        self.main = block(conv, inputs, outputs, 4, 2, 1)

    def forward(self, x):
        return self.main(x)


class Encoder(nn.Module):
    def __init__(self, code, width):
        super().__init__()
        self.c1 = Scaled(nn.Conv2d, 3, width)
        self.c2, self.c3, self.c4 = (Scaled(nn.Conv2d, many * width, 2 * many * width) for many in (1, 2, 4))
        self.c5 = block(nn.Conv2d, 8 * width, code, 4, 1, 0, end=nn.Tanh())

    def forward(self, frame):
        skips = []
        for part in (self.c1, self.c2, self.c3, self.c4):
            frame = part(frame)
            skips.append(frame)
        return self.c5(frame).flatten(1), skips


class Decoder(nn.Module):
    def __init__(self, code, width):
        super().__init__()
        self.upc1 = block(nn.ConvTranspose2d, code, 8 * width, 4, 1, 0)
        self.upc2, self.upc3, self.upc4 = (
            Scaled(nn.ConvTranspose2d, 2 * many * width, many * width // 2) for many in (8, 4, 2)
        )
        self.upc5 = nn.Sequential(nn.ConvTranspose2d(2 * width, 3, 4, 2, 1), nn.Sigmoid())

    def forward(self, code, skips):
        x = code[:, :, None, None]
        for part, skip in zip((self.upc1, self.upc2, self.upc3, self.upc4), reversed(skips), strict=True):
            x = torch.cat([part(x), skip], 1)
        return self.upc5(x)


class Recurrent(nn.Module):
    """LSTM cells on one another. memory: (B, layers, 2, hidden)."""

    def __init__(self, inputs, outputs, hidden, layers, gaussian=False):
        super().__init__()
        self.embed = nn.Linear(inputs, hidden)
        self.lstm = nn.ModuleList(nn.LSTMCell(hidden, hidden) for _ in range(layers))
        if gaussian:
            self.mu_net, self.logvar_net = nn.Linear(hidden, outputs), nn.Linear(hidden, outputs)
        else:
            self.output = nn.Sequential(nn.Linear(hidden, outputs), nn.Tanh())

    def start(self, like):
        return like.new_zeros(len(like), len(self.lstm), 2, self.embed.out_features)

    def forward(self, x, memory):
        x, cells = self.embed(x), []
        for index, cell in enumerate(self.lstm):
            cells.append(torch.stack(cell(x, tuple(memory[:, index].unbind(1))), 1))
            x = cells[-1][:, 0]
        return x, torch.stack(cells, 1)


class StochasticVideo(nn.Module, SteppedModel):
    def __init__(self, card, code, noise, width, hidden):
        super().__init__()
        self.card, self.noise_size = card, noise
        self.encoder, self.decoder = Encoder(code, width), Decoder(code, width)
        self.frame_predictor = Recurrent(code + noise, code, hidden, 2)
        self.posterior = Recurrent(code, noise, hidden, 1, gaussian=True)
        self.prior = Recurrent(code, noise, hidden, 1, gaussian=True)

    def init(self, context):
        """Observes the frames one by one; what the posterior says of each is taken at its mean."""
        predicted, observed, before = (
            part.start(context) for part in (self.frame_predictor, self.posterior, self.prior)
        )
        for last, frame in zip(context.unbind(1)[:-1], context.unbind(1)[1:], strict=True):
            code, skips = self.encoder(last)
            found, observed = self.posterior(self.encoder(frame)[0], observed)
            _, before = self.prior(code, before)
            _, predicted = self.frame_predictor(torch.cat([code, self.posterior.mu_net(found)], 1), predicted)
        return (context[:, -1], *skips, predicted, before)

    def step(self, state, noise):
        frame, *skips, predicted, before = state  # the skips stay those of the context, as in that code
        code, _ = self.encoder(frame)
        found, before = self.prior(code, before)
        drawn = self.prior.mu_net(found) + noise * (self.prior.logvar_net(found) / 2).exp()
        found, predicted = self.frame_predictor(torch.cat([code, drawn], 1), predicted)
        frame = self.decoder(self.frame_predictor.output(found), skips)
        return (frame, *skips, predicted, before), frame


def make(*, device, dtype, weights, fps: int = 10, context: int = 5):
    saved = torch.load(weights, map_location="cpu", weights_only=True)
    code, width = saved["encoder"]["c5.0.weight"].shape[0], saved["encoder"]["c1.main.0.weight"].shape[0]
    noise, hidden = saved["prior"]["mu_net.weight"].shape
    card = ModelCard("stochastic-video", image_size=(64, 64), fps=fps, context_frames=context, stochastic=True)
    model = StochasticVideo(card, code, noise, width, hidden)
    model.load_state_dict({f"{part}.{name}": tensor for part in saved for name, tensor in saved[part].items()})
    return model.to(device, dtype).eval()

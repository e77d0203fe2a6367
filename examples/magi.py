"""MAGI-1 continues the last 32 frames of each clip, in the environment of SandAI-org/MAGI-1 with physbench beside it.

    git clone https://github.com/SandAI-org/MAGI-1
    physbench eval examples/magi.py:make --suite core --device cuda \\
        --model-arg checkout=MAGI-1 --model-arg config=MAGI-1/example/4.5B/4.5B_base_config.json

Weights are where the config says, seen from the checkout. Its `num_frames` is the length of one call; longer clips are
continued from the model's own last frames.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
import torch
from torch.nn.functional import interpolate

from physbench import ModelCard

PREFIX = 32  # frames that `process_prefix_video` reads
WEIGHTS = ("load", "t5_pretrained", "vae_pretrained")  # folders in the config, seen from the checkout
SIDE = 256  # px of the clips: the pipeline scales them to the size of its config
ALONE = {"MASTER_ADDR": "localhost", "MASTER_PORT": "6009", "RANK": "0", "WORLD_SIZE": "1"}  # one process, one GPU


def write(path, frames, fps):  # (T, 3, H, W) in [0, 1]
    pixels = (frames.float().clamp(0, 1) * 255).round().byte().movedim(1, -1).cpu().numpy()
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=fps, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[1:3], "yuv444p"
        for picture in pixels:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())


def read(path):  # -> (T, 3, H, W) in [0, 1]
    with av.open(str(path)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    return torch.from_numpy(np.stack(pictures)).movedim(-1, 1) / 255


class Magi:
    def __init__(self, pipeline, seed_everything, fps, frames):
        self.pipeline, self.seed_everything = pipeline, seed_everything
        self.card = ModelCard(
            "magi-1", (SIDE, SIDE), fps, PREFIX, max_horizon=frames, uses_prompt=True, stochastic=True
        )

    def rollout(self, context, *, horizon, actions, prompts, generators):
        return torch.stack([self.extend(*clip, horizon) for clip in zip(context, prompts, generators, strict=True)])

    def extend(self, frames, prompt, generator, horizon):  # one clip a call, as its pipeline does
        self.seed_everything(int(torch.randint(2**31, (1,), generator=generator, device=generator.device)))
        with tempfile.TemporaryDirectory() as folder:
            before, after = Path(folder, "before.mp4"), Path(folder, "after.mp4")
            write(before, frames, self.card.fps)
            self.pipeline.run_video_to_video(prompt, str(before), str(after))
            answer = read(after)  # what comes after the prefix, without it
        if len(answer) < horizon:
            raise RuntimeError(f"MAGI-1 made {len(answer)} frames, and {horizon} were asked for: see num_frames")
        return interpolate(answer[:horizon], size=(SIDE, SIDE), mode="area").to(frames)


def make(*, device, dtype, checkout, config):
    checkout = Path(checkout).resolve()
    for name, value in ALONE.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("SPECIAL_TOKEN_PATH", str(checkout / "example" / "assets" / "special_tokens.npz"))
    sys.path.insert(0, str(checkout))
    from inference.common import set_random_seed
    from inference.pipeline import MagiPipeline

    settings = json.loads(Path(config).read_text())
    runtime = settings["runtime_config"]
    for name in WEIGHTS:
        runtime[name] = str(checkout / runtime[name])
    with tempfile.TemporaryDirectory() as folder:
        placed = Path(folder, "config.json")
        placed.write_text(json.dumps(settings))
        pipeline = MagiPipeline(str(placed))
    return Magi(pipeline, set_random_seed, runtime["fps"], runtime["num_frames"])

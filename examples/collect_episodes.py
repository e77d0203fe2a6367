"""Episodes with random pushes, as dreamerv3-torch reads them: python examples/collect_episodes.py"""

from pathlib import Path

import gymnasium
import numpy as np

import physbench.envs  # noqa: F401, registers every task

Path("train_eps").mkdir(exist_ok=True)
env = gymnasium.make("physbench/head-on-push-v1", fps=10)
draw = np.random.default_rng(0)
for seed in range(3):
    frame, info = env.reset(seed=seed)
    frames, actions, ended = [frame], [info["action"]], False
    while not ended:
        frame, _, _, ended, info = env.step(draw.uniform(-40, 40, 2) if draw.random() < 0.1 else np.zeros(2))
        frames.append(frame)
        actions.append(info["action"])  # in the row of the frame that shows it, as in an evaluation
    length = len(frames)
    print(f"train_eps/{seed:06d}-{length}.npz: {length} frames, actions {np.stack(actions).shape}")
    np.savez_compressed(
        f"train_eps/{seed:06d}-{length}.npz",
        image=np.stack(frames),
        action=np.stack(actions),
        reward=np.zeros(length, np.float32),
        discount=np.ones(length, np.float32),
        is_first=np.arange(length) == 0,
        is_terminal=np.zeros(length, bool),
    )

"""A goal for a task with pushes, learned by PPO: keep ball a in the middle of the picture.

pip install -e ".[envs]" stable-baselines3 && python examples/push_to_the_centre.py --steps 20000
"""

import argparse
import time

import gymnasium
import numpy as np
from gymnasium.wrappers import RescaleAction

import physbench.envs  # noqa: F401 - registers the tasks


class ToTheCentre(gymnasium.Wrapper):
    """Observation: place m and velocity m/s of the first body, that is pushed. Reward: minus its distance in m."""

    def __init__(self, env):
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32)

    def reset(self, **given):
        _, info = self.env.reset(**given)
        return self.seen(info), info

    def step(self, action):
        _, _, terminated, truncated, info = self.env.step(action)
        seen = self.seen(info)
        return seen, -float(np.hypot(seen[0], seen[1])), terminated, truncated, info

    def seen(self, info):
        return info["states"][0][[0, 1, 7, 8]].astype(np.float32)


def make():
    env = gymnasium.make("physbench/head-on-push-v1", fps=5, size=32)
    return ToTheCentre(RescaleAction(env, -1.0, 1.0))


def mean_return(act, episodes=20):
    """Mean and standard error of the sum of rewards, over clips that no training has seen."""
    env, sums = make(), []
    for seed in range(10_000, 10_000 + episodes):
        (seen, _), total, ended = env.reset(seed=seed), 0.0, False
        while not ended:
            seen, reward, _, ended, _ = env.step(act(seen))
            total += reward
        sums.append(total)
    return f"{np.mean(sums):.1f} +- {np.std(sums) / len(sums) ** 0.5:.1f}"


def main():
    from stable_baselines3 import PPO

    asked = argparse.ArgumentParser()
    asked.add_argument("--steps", type=int, default=20_000)
    steps = asked.parse_args().steps
    draw = np.random.default_rng(0)
    print("return over 20 new clips, no push:    ", mean_return(lambda seen: np.zeros(2)))
    print("return over 20 new clips, random:     ", mean_return(lambda seen: draw.uniform(-1, 1, 2)))
    learner, begun = PPO("MlpPolicy", make(), n_steps=512, seed=0, device="cpu"), time.monotonic()
    learner.learn(steps)
    print(f"{learner.num_timesteps} steps of PPO in {time.monotonic() - begun:.0f} s")
    print(
        "return over 20 new clips, after PPO:  ", mean_return(lambda seen: learner.predict(seen, deterministic=True)[0])
    )


if __name__ == "__main__":
    main()

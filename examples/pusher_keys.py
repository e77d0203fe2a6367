"""The pusher as keys: physbench eval MODEL --suite pusher --actions examples/pusher_keys.py

The model is given one column a word, a 1 for the keys that are pressed; "none" where the pusher is told to stand. Of a
thruster (--suite thrust) the keys say which way it pushes.
"""

import numpy as np

from physbench import Words

space = Words(("none", "left", "right", "up", "down"))
LEAST = 0.05  # m/s


def convert(actions, fps):  # (T, 12) of one clip: hue of the pusher as RGB, velocity x, y, z in m/s that it is told
    words = []
    for x, y, _ in actions[:, 3:6]:
        keys = zip(space.names[1:], (x < -LEAST, x > LEAST, y > LEAST, y < -LEAST), strict=True)
        words.append("+".join(key for key, pressed in keys if pressed) or "none")
    return words


if __name__ == "__main__":
    told = np.zeros((3, 12))
    told[1, 3:6] = 0.8, 0, 0
    print(convert(told, 15))

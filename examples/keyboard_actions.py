"""Pushes as words of a keyboard: physbench eval MODEL --suite actions --actions examples/keyboard_actions.py

The model is given one column a word, a 1 for those that are pressed; "none" where nothing is pushed.
"""

import numpy as np

from physbench import Words

space = Words(("none", "left", "right", "up", "down"))


def convert(actions, fps):  # (T, 12) of one clip: hue of the pushed body as RGB, impulse x, y, z in N s
    words = []
    for x, y, z in actions[:, 3:6]:
        up = y + z  # seen from above y is up in the picture, seen from the front z
        pressed = [word for word, on in zip(space.names[1:], (x < -10, x > 10, up > 10, up < -10), strict=True) if on]
        words.append("+".join(pressed) or "none")
    return words


if __name__ == "__main__":
    pushed = np.zeros((3, 12))
    pushed[1, 3:6] = 30, -40, 0
    print(convert(pushed, 15))

"""A moving camera as keys: physbench eval MODEL --suite full --tasks look-away --actions examples/camera_keys.py

The model is given one column a word, a 1 for the keys that are pressed; "none" where the camera stands still.
"""

import numpy as np

from physbench import Words

space = Words(("none", "left", "right", "up", "down", "forward", "back"))
LEAST_TURN, LEAST_SPEED = 1.0, 0.05  # degrees/s and m/s, from which on a key is pressed


def convert(actions, fps):  # (T, 12) of one clip; the last six are pan, tilt, roll in degrees, right, down, ahead in m
    pan, tilt, ahead = (np.gradient(actions[:, number]) * fps for number in (6, 7, 11))
    words = []
    for turn, lean, way in zip(pan, tilt, ahead, strict=True):
        pressed = (
            *(turn < -LEAST_TURN, turn > LEAST_TURN),
            *(lean < -LEAST_TURN, lean > LEAST_TURN),
            *(way > LEAST_SPEED, way < -LEAST_SPEED),
        )
        words.append("+".join(word for word, on in zip(space.names[1:], pressed, strict=True) if on) or "none")
    return words


if __name__ == "__main__":
    poses = np.zeros((4, 12))
    poses[:, 6] = 0, 0, 2, 4
    print(convert(poses, 15))

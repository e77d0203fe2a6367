"""Footage of one's own: a filmed scene as a clip, its tolerance, and answers that are scored on it.

- `document`: what a user says of a recording. `picture`: the plane of motion in the picture, and its learned hues.
- `recorded`: the clip, the fitted constants and the tolerance. `answer`: readings of a model's answer.
- `draw`: pictures to read coordinates from, and to judge a fit by.
"""

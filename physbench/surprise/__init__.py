"""Violation of expectation: is a model more surprised by an impossible film than by the possible one?

    pairs = find_pairs()                                  # of the suite `expectation`
    frames = film_frames(clip, pairs[0].impossible)       # bit-identical to the possible film until the event

`physbench eval MODEL --suite expectation` does all of it. See docs/expectation.md.
"""

from __future__ import annotations

"""Which changed worlds explain each other's clips, so that no diagnosis can tell them apart?

    python benchmarks/world_classes.py [--viewing TEXT] [--clips 6] [--only TEXT]

Clips of each changed world, exact places with noise, are fitted in all other worlds. One that explains them as well as
the world that they were made in is tried the other way round, at the value that was found: where both explain each
other, they form a class under that viewing. Under `image` the context is one frame, which shows no velocity.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

from diagnosis import CASES, FIRST_SEED, LONG, Viewing, evidence

from physbench.result.diagnosis import ChangedWorld, find_changed_worlds
from physbench.result.diagnosis.ranking import EFFORT, NAMING, Theory, first_fit, refined, theory_of

VIEWINGS: dict[str, Viewing] = {
    "video": LONG,
    "video, short": Viewing(fps=15, size=64, noise=0.1, start=-0.5, seconds=2.0),
    "image": Viewing(fps=30, size=128, noise=0.05, start=0.0),
    "image, short": Viewing(fps=15, size=64, noise=0.1, start=0.0, seconds=2.0),
}


@dataclass(frozen=True)
class Fit:
    """How well a world explains clips."""

    world: ChangedWorld
    value: float
    share: float  # of the time that the true laws leave unexplained
    misfit: float  # mean square distance in sd

    def __str__(self) -> str:
        return f"{self.world.id} {self.value:.3g}" if self.world.free else self.world.id


def fits(task: str, world: ChangedWorld, value: float, clips: int, viewing: Viewing) -> Iterator[Fit]:
    """Fits of all worlds that apply to clips of one world, that one first; none where its clips are lawful."""
    seeds = range(FIRST_SEED, FIRST_SEED + clips)
    shown = [evidence(task, seed, [world], [value], 0, viewing) for seed in seeds]
    base = theory_of(shown)
    if float((1 - base.shares).mean()) < NAMING.lawful:
        return
    others = [each for each in find_changed_worlds() if each.id != world.id]
    for each in (world, *others):
        if any(each.applies(one.law) for one in shown):
            yield _fit(each, base)


def _fit(world: ChangedWorld, base: Theory) -> Fit:
    found = refined(first_fit(world, base), EFFORT.rounds)
    found = theory_of(base.evidence, found.worlds, found.values, base)
    return Fit(world, found.values[0], found.gain(base), found.misfit)


def explains(other: Fit, own: Fit) -> bool:
    """Whether a world explains clips as well as the one that they were made in."""
    return (
        other.share >= NAMING.named
        and other.share >= own.share - NAMING.alike
        and other.misfit <= NAMING.alike_misfit * max(own.misfit, 1.0)
    )


def main() -> None:
    """Print a line for each pair of worlds of which one explains the other's clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewing", default="", help=f"one of {', '.join(VIEWINGS)}; default: all")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--only", default="", help="a part of a task's or a world's name")
    options = parser.parse_args()
    known = {world.id: world for world in find_changed_worlds()}
    print("| viewing | task | clips of | explained by | share | misfit | of its own | other way round | class |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, viewing in VIEWINGS.items():
        if options.viewing not in ("", name):
            continue
        for task, true in CASES:
            if len(true) != 1 or options.only not in f"{task} {' '.join(true)}":
                continue
            ((world, value),) = true.items()
            began = time.process_time()
            found = list(fits(task, known[world], value, options.clips, viewing))
            if not found:
                print(f"| {name} | {task} | {world} {value:g} | the true world | | | | | |", flush=True)
                continue
            own, *others = found
            for other in others:
                if not explains(other, own):
                    continue
                back = list(fits(task, other.world, other.value, options.clips, viewing))
                returned = next((each for each in back if each.world.id == world), None)
                mutual = returned is not None and explains(returned, back[0])
                print(
                    f"| {name} | {task} | {own} ({value:g}) | {other} | {other.share:.2f} | {other.misfit:.2f} "
                    f"| {own.share:.2f}, {own.misfit:.2f} | {returned or 'lawful'} | {'yes' if mutual else 'no'} |",
                    flush=True,
                )
            spent = time.process_time() - began
            print(f"# {name}, {task}, {world}: own {own} {own.share:.2f}, {spent:.0f} s", flush=True)


if __name__ == "__main__":
    main()

"""`physbench data verify`: does this machine make the clips of a suite, and is an archive of clips whole?"""

from __future__ import annotations

from pathlib import Path

import typer

from physbench.cli.console import note
from physbench.errors import UsageError


def verify_suite(name: str, workers: int) -> None:
    """Simulate a suite and print how it compares with its golden states; exit 1 where they differ."""
    from physbench.clips.golden import verify as differences
    from physbench.clips.suite import GOLDEN_SUITES, find_suite
    from physbench.progress import Progress

    chosen = find_suite(name)
    if name not in GOLDEN_SUITES:
        raise UsageError(f"The suite {name} has no golden states. Use --suite {' or --suite '.join(GOLDEN_SUITES)}.")
    first, count, farthest = None, 0, 0.0
    with Progress(f"verifying {name}", len(chosen.rows)) as progress:
        for difference in differences(chosen, workers):
            if not difference.same:
                count += 1
                first = first or difference
                farthest = max(farthest, difference.distance)
            progress.advance()
    if first is None:
        typer.echo(f"{name}: all {len(chosen.rows)} clips reproduce the golden states (suite {chosen.hash[:12]})")
        return
    typer.echo(
        f"{name}: {count} of {len(chosen.rows)} clips differ from the golden states\n"
        f"first: {first.row.id}, {first.distance:.2g} m at its end; largest distance {farthest:.2g} m"
    )
    note(
        "This machine has another build of the physics (compare the version of pybullet), so results made here are "
        "marked `local`."
    )
    raise typer.Exit(1)


def verify_train(clips: int | None, workers: int) -> None:
    """Simulate clips to learn from and print their hash; exit 1 where it is not the published one of as many clips."""
    from physbench.clips.golden import hash_here, published_train_lists
    from physbench.clips.suite import TRAIN, find_suite
    from physbench.results.number_format import counted

    chosen, published = find_suite(TRAIN, limit=clips), published_train_lists()
    made, many = hash_here(chosen, workers), len(chosen.rows)
    typer.echo(f"{counted(many, 'clip')} of {TRAIN}, suite version {chosen.version}: {made}")
    if many not in published:
        sizes = ", ".join(f"{size:,}" for size in published) or "no number of"
        note(f"There are published hashes of {sizes} clips, none of {many:,}.")
    elif published[many] == made:
        typer.echo("This is the published list.")
    else:
        typer.echo(f"The published list is another one: {published[many]}")
        note("This machine has another build of the physics (compare the version of pybullet).")
        raise typer.Exit(1)


def verify_archive(place: str) -> None:
    """Read all that an archive holds, and print whether it is what was packed; exit 1 where its states are not golden.

    Raises:
        UsageError: There is none, it is damaged, or of another version of physbench.
    """
    from physbench.clips.clip_archive import opened_archive
    from physbench.clips.suite import suite_names
    from physbench.progress import Progress
    from physbench.results.number_format import counted

    if place in suite_names() and not Path(place).exists():
        raise UsageError(f"'{place}' is a suite and no archive of clips: physbench data verify --suite {place}")
    try:
        packed = opened_archive(place)
        with Progress(f"checking {packed.spec}", len(packed)) as progress:
            packed.check(progress.advance)
    except UsageError as error:
        raise UsageError(str(error).removeprefix("--clips: ")) from error
    told = f"{counted(len(packed), 'clip')} of {packed.suite['name']} at {packed.spec}, index {packed.sha256[:12]}"
    other = packed.other_states()
    if other:
        typer.echo(f"{place}: {told}, whole; {len(other)} differ from the golden states, first {other[0]}")
        note("They were made with another build of the physics, so that results on them are marked `local`.")
        raise typer.Exit(1)
    typer.echo(f"{place}: {told}, all as they were packed")

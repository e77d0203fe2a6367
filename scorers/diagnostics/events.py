"""Deciding events: whether a prediction that continues one image shows what lawful futures of it mostly show."""

from __future__ import annotations

from collections.abc import Mapping

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.motion import ContactInterval
from physbench.score.outcomes import deciding_events
from physbench.score.protocol import Reading, not_modelled, scorer
from physbench.shadowing import Shadowing
from physbench.track.tracks import Tracks


def no_single_image(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | None:
    """Not applicable where the context is a video: it shows velocities, and so what has to happen."""
    if tracks.context == 1:
        return None
    return Reading(None, "not applicable", "the context is not a single image")


@scorer(
    id="consistency/event-frequency",
    axis="consistency",
    unit="events",
    better="higher",
    noise_floor="lawful draws read 0 on average; ground truth of the shipped tasks shows at least as many",
    source="events of an ensemble of simulations; their number over clips is Poisson binomial: Wang 1993",
    roles={"": "event-balance"},
    needs=("shadowing", "contacts"),
    precheck=no_single_image,
)
def event_frequency(
    clip: Clip,
    rollout: Rollout,
    tracks: Tracks,
    *,
    shadowing: Shadowing | None,
    contacts: Mapping[int, tuple[ContactInterval, ...]],
) -> dict[str, Reading]:
    """Events that the prediction shows, less those that lawful futures of its image show on average.

    An image tells no velocity, so that a prediction may choose one for which nothing happens: balls that roll past each
    other obey every law. In one clip that is as good as any other future; in all of them it is not what the task's
    velocities do. Kinds of event: a meeting of moving bodies, a bounce off what stands, and a hiding (less than 5 % of
    a body is visible, its middle in the view). A kind that none of 32 lawful draws shows is not asked.

    A prediction shows an event on its lawful segments at 0.2 diameters. Where a body has no unbroken one at 0.03, being
    within 0.1 diameter of another body counts too, and being gone where it would be hidden had it moved straight on.

    Over at least 24 clips of a task the number of events is compared with its distribution; where fewer are shown than
    in one of 1,000 lawful sets of futures, the task loses that share of its consistency (`event_frequency` in
    result.json, docs/design/one-image.md). Not applicable behind a video, and where a scene cannot be shadowed.

    Further readings, by kind: whether it is seen (1 or 0), and its chance: (k + 1) / (M + 2) for k of M = 32 draws of
    the ensemble of `drift/accuracy`.
    """
    if shadowing is None:
        return {"": not_modelled(clip)}
    deciding = deciding_events(clip, tracks.context, shadowing, contacts)
    if deciding is None:
        return {"": Reading(None, "not applicable", "no other draw of the task has these bodies")}
    if not deciding.chance:
        return {"": Reading(None, "not applicable", "no lawful draw shows an event")}
    readings = {"": Reading(float(sum(deciding.seen.values())) - sum(deciding.chance.values()))}
    for kind, chance in deciding.chance.items():
        readings[kind] = Reading(float(deciding.seen[kind]), unit="1")
        readings[f"{kind}-chance"] = Reading(chance, unit="1")
    return readings

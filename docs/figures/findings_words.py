"""The sentences and the cells of tables of the page on findings, from what findings_read.py read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from findings_read import (
    BESIDE,
    FEWEST_MODELS,
    TRANSFER,
    VELOCITY,
    Board,
    Hidings,
    Model,
    Samples,
    Surprise,
    Trained,
    Transfer,
    Value,
    apart,
    change,
    curves_by,
    over_tasks,
    parameters,
    rank_correlation,
    sign,
    task_skills,
)

from physbench.result.document import SkillValue
from physbench.result.formats import AXIS_NAMES, joined, short

NEAR = 0.03  # of the unexplained motion; a law that explains less is not spoken of


def listed(items: Sequence[Model | str]) -> str:
    """ "a, b and c"."""
    return joined([item if isinstance(item, str) else item.name for item in items])


def counted(n: int, of: int, names: Sequence[Model | str] = ()) -> str:
    """ "2 of 9 (a and b)"; "none of 9", "all 9"."""
    if n in (0, of):
        return f"none of {of}" if n == 0 else f"all {of}"
    return f"{n} of {of}" + (f" ({listed(names)})" if names and n <= 4 else "")


def percents(shares: Sequence[float]) -> str:
    """ "12 %"; "36 to 70 %"."""
    low, high = (f"{100 * share:.0f}" for share in (min(shares), max(shares)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def comparisons(board: Board) -> list[str]:
    """Sentences on which models are ahead of which baseline, and of their untrained copies."""
    made = []
    for target in BESIDE:
        other = board.baseline(target)
        if other is None or not board.models:
            continue
        gaps = {model: model.ahead_of(other) for model in board.models}
        ahead = [f"{model.name} by {gap}" for model, gap in gaps.items() if sign(gap) > 0]
        behind = [model for model, gap in gaps.items() if sign(gap) < 0]
        losers = counted(len(behind), len(gaps), behind)
        made.append(f"Ahead of {other.name} for sure: {listed(ahead) or 'none'}. Behind it: {losers}.")
    pairs = [model for model in board.models if model.result.model.name in board.untrained]
    if pairs:
        better = [m for m in pairs if sign(m.ahead_of(board.untrained[m.result.model.name])) > 0]
        worse = [m for m in pairs if m not in better]
        text = (
            f"Ahead of its own untrained copy for sure: {counted(len(better), len(pairs), better)} that have one here"
        )
        made.append(text + (f"; not {listed(worse)}." if 0 < len(worse) < len(pairs) else "."))
    unlearned = [text for model in pairs if (text := losses_text(model, board.untrained[model.result.model.name]))]
    if unlearned:
        made.append(f"Behind its own untrained copy for sure in a family: {listed(unlearned)}.")
    return made


def losses_text(model: Model, untrained: Model) -> str:
    """ "`a` in falling (0.79 to 0.34)": families in which an untrained copy is better for sure; "" where none is."""
    worse = []
    for family, skill in model.result.by_family.items():
        before = untrained.result.by_family[family]
        if None in (before.skill, skill.skill, before.interval, skill.interval):
            continue
        old, new = Value(before.skill, before.interval), Value(skill.skill, skill.interval)
        if apart(old, new):
            worse.append(f"{family} ({old.value:.2f} to {new.value:.2f})")
    return f"{model.name} in {listed(worse)}" if worse else ""


def margins(board: Board) -> str:
    """Mean skill by family, and which models are below a frozen frame on an axis."""
    families = list(board.models[0].result.by_family)
    level = {name: float(np.mean([m.result.by_family[name].skill or 0 for m in board.models])) for name in families}
    order = sorted(families, key=lambda name: -level[name])
    made = f"Mean skill of the models by family: {listed([f'{name} {level[name]:.2f}' for name in order])}."
    for axis, name in AXIS_NAMES.items():
        spans = {m: m.result.axes[axis].interval for m in board.models if axis in m.result.axes}
        below = [m for m, span in spans.items() if span is not None and span[1] < 0]
        if below:
            made += f" Below a frozen frame on {name} for sure: {counted(len(below), len(spans), below)}."
    return made


def laws_cell(model: Model, family: str) -> str:
    """What a model does instead in one family."""
    found = model.result.implied_worlds.get(family)
    if found is None:
        return "-"
    share, phrases = f"{100 * found.share:.0f}\N{NO-BREAK SPACE}%", " and ".join(law.phrase for law in found.laws)
    if found.verdict == "named":
        return f"**as if {phrases}** ({share})"
    if found.verdict == "unsure":
        return f"not sure: {phrases} ({share})"
    if found.verdict == "lawful":
        return "lawful"
    nearest = " and ".join(law.short for law in found.laws)
    return f"none; {nearest} {share}" if found.share >= 0.005 else "none"


def laws_text(board: Board) -> list[str]:
    """Sentences on the laws that models follow instead."""
    cells = [(m, f, w) for m in board.models for f, w in m.result.implied_worlds.items()]
    if not cells:
        return []
    none = [cell for cell in cells if cell[2].verdict == "no simple law"]
    named = [cell for cell in cells if cell[2].verdict == "named"]
    made = [
        f"In {counted(len(none), len(cells))} cases (models and families) **no simple law** explains half of the "
        "motion that the true laws do not."
    ]
    if named:
        made.append("A law is sure in " + listed([f"{f} of {m.name}" for m, f, _ in named]) + ".")
    else:
        made.append("A law is sure in no case: these models are wrong, but not as a world with one other constant is.")
    best = max(none, key=lambda cell: cell[2].share, default=None)
    if best is not None and best[2].laws:
        model, family, world = best
        made.append(
            f"The nearest: {world.laws[0].short} explains {100 * world.share:.0f} % in {family} of {model.name}."
        )
    nearest = [world.laws[0].short for _, _, world in none if world.laws and world.share >= NEAR]
    if nearest:
        most = max(sorted(set(nearest)), key=nearest.count)
        count = nearest.count(most)
        made.append(
            f"Of the {len(nearest)} that explain {100 * NEAR:.0f} % or more, {count} "
            f"{'is' if count == 1 else 'are'} {most}."
        )
    velocity = board.baseline(VELOCITY)
    if velocity is not None and velocity.result.implied_worlds:
        worlds = velocity.result.implied_worlds
        known = {family: laws_cell(velocity, family) for family, w in worlds.items() if w.verdict == "named"}
        said = f"{listed([*known])} alone: {', '.join(known.values())}" if known else "no family"
        made.append(
            f"The search has limits: of constant velocity, whose law is known, it is sure in {said}. A changed world "
            "explains no time in which a body is out of sight, unless the body is seen again."
        )
    return made


def hidden_text(board: Board, back: Mapping[Model, dict[str, Value]], found: Mapping[Model, Hidings]) -> list[str]:
    """Sentences on what comes back from behind screens."""
    ending = board.models[0].result.readings.get("permanence/return.returned")  # applies where something has to return
    if ending is None:
        return []
    level = {m: float(np.mean([v.value for t, v in back[m].items() if t in ending.tasks])) for m in board.models}
    best = max(level, key=lambda m: level[m])
    made = [
        f"The median model brings back {100 * median(level.values()):.0f} % of what has to return, as itself, in time "
        f"and in place; the best, {best.name}, {100 * level[best]:.0f} %."
    ]
    middle = {t: median(back[m][t].value for m in board.models) for t in back[best]}
    tasks = sorted(middle, key=lambda t: -middle[t])
    made.append(
        "Medians of the models by task: "
        + listed([f"`{short(t)}` {100 * middle[t]:.0f} %" for t in tasks if t in ending.tasks])
        + "."
    )
    made += [
        f"In `{short(t)}`, where it is right that nothing comes out, the median is {100 * middle[t]:.0f} %: there, to "
        "forget is right."
        for t in tasks
        if t not in ending.tasks
    ]
    gaps = {m: found[m].short_less_long() for m in board.models}
    worse = [m for m, gap in gaps.items() if sign(gap) > 0]
    low = [m for m in board.models if np.mean(np.concatenate([*found[m].right.values()])) < 0.1]
    text = f"That longer hidings are worse is sure in {counted(len(worse), len(gaps), worse)}"
    if worse:
        text += f" (shorter less longer half: {listed([f'{m.name} {gaps[m]}' for m in worse])})"
    made.append(f"{text}; {counted(len(low), len(gaps), low)} {lose(len(low))} more than nine of ten in all.")
    return made


def lose(n: int) -> str:
    return "loses" if n == 1 or not n else "lose"


def horizon_text(board: Board) -> list[str]:
    """Sentences on how far ahead motion is lawful."""
    lawful = {m: m.result.lawful for m in board.models if m.result.lawful is not None}
    known = {m: found.seconds for m, found in lawful.items() if found is not None and found.seconds is not None}
    if not known:
        return []
    best, horizon = max(known, key=lambda m: known[m]), next(iter(lawful.values())).horizon
    made = [
        f"The best, {best.name}, is physical for {known[best]:.1f} s of {horizon:.1f} s, the median model for "
        f"{median(known.values()):.1f} s."
    ]
    still = [m for m in known if m.result.lawful.references.get("constant-velocity")]
    if still:
        bound = still[0].result.lawful.references["constant-velocity"]
        straight = board.baseline(VELOCITY)
        own = None if straight is None or straight.result.lawful is None else straight.result.lawful.interval
        longer = [m for m in known if (lawful[m].interval or (0.0,))[0] > (own or (0.0, bound))[1]]
        made.append(
            f"Longer than constant velocity ({bound:.1f} s) for sure: {counted(len(longer), len(known), longer)}."
        )
    first: dict[str, list[float]] = {}
    for model in board.models:
        for family, found in model.result.first_breaks.items():
            if found.median is not None:
                first.setdefault(family, []).append(found.median)
    if first:
        spans = [f"{family} {median(values):.1f} s" for family, values in first.items()]
        made.append(
            f"Where a clip breaks at 0.03 diameters, it first does so after (median of the models) {listed(spans)}. A "
            "body that is lost has no break."
        )
    return made


def gaps_text(board: Board) -> list[str]:
    """Sentences on what is lost outside the ranges of training."""
    made = []
    for axis, name in AXIS_NAMES.items():
        found = {m: m.result.gaps["all"][axis] for m in board.models if axis in m.result.gaps.get("all", {})}
        known = {m: Value(g.gap, g.interval) for m, g in found.items() if g.gap is not None and g.interval is not None}
        worse = [m for m, gap in known.items() if sign(gap) > 0]
        if known:
            most = max(known, key=lambda m: known[m].value)
            made.append(
                f"On {name} {counted(len(worse), len(known), worse)} {lose(len(worse))} for sure, most {most.name}: "
                f"{known[most]} of quality."
            )
    if made and (other := board.baseline(VELOCITY)):
        inside, outside = (max(each.clips for each in other.result.splits[split].values()) for split in ("test", "ood"))
        gaps = other.result.gaps.get("all", {})
        lost = {name: gaps[axis].gap for axis, name in AXIS_NAMES.items() if axis in gaps}
        control = [f"{Value(gap, None)} on {name}" for name, gap in lost.items() if gap is not None]
        made.append(f"Inside lie {inside:,} clips, outside {outside:,}. Constant velocity loses {listed(control)}.")
    return made


def correlation_text(what: str, rho: Value, models: int) -> str:
    """Sentence on the rank correlation of something with overall skill."""
    verdict = {1: "go together", -1: "go against each other", 0: "are not shown to go together"}[sign(rho)]
    return f"{what} and overall skill {verdict}: rank correlation {rho} over {models} models."


def pixels_text(correlations: Mapping[str, tuple[Value, int]]) -> list[str]:
    """Sentences on looks beside physics."""
    if not correlations:
        return []
    over = listed([f"{n}" for n in sorted({n for _, n in correlations.values()})])
    each = listed([f"`{name}` {rho}" for name, (rho, _) in correlations.items()])
    return [f"Rank correlation with overall skill over {over} models: {each}."]


def samples_text(found: Sequence[Samples], bound: float) -> list[str]:
    """Sentences on what samples cover; `bound` is the overall skill of constant velocity."""
    if not found:
        return []
    most = max(found, key=lambda each: each.best - each.overall)
    over = [f"`{each.model}`" for each in found if round(each.best, 2) > round(bound, 2)]
    wide = [f"`{each.model}`" for each in found if each.spread > 1]
    spreading = counted(len(wide), len(found), wide)
    return [
        f"The choice after the fact adds most to `{most.model}`: {most.best - most.overall:.2f}. With it "
        f"{counted(len(over), len(found), over)} would be above constant velocity, which has no choice ({bound:.2f} on "
        "these clips).",
        f"Eight frames of context tell the motion: right samples are alike. Those of {spreading} "
        "spread by more than the context leaves open, so that their spread is error, not knowledge of what is open.",
    ]


def transfer_cells(board: Board, found: Sequence[Transfer]) -> list[list[str]]:
    """The rows of the table of tasks that none was trained on, best in `core` first."""
    made = []
    for model in board.shown:
        there = next((each for each in found if each.model == model.label), None)
        if there is None:
            continue
        before = over_tasks(task_skills(model.result)["consistency"])
        axes = (over_tasks(there.skills[axis]) for axis in TRANSFER)
        made.append([model.name, str(before), *map(str, axes), f"{there.lawful:.1f} s"])
    return made


def transfer_text(board: Board, found: Sequence[Transfer]) -> list[str]:
    """Sentences on tasks that none was trained on."""
    shown = {each.model: each for each in found}
    models = [model for model in board.models if model.label in shown]
    if not models:
        return []
    best = max(models, key=lambda m: over_tasks(shown[m.label].skills["consistency"]).value)
    there = shown[best.label].skills["consistency"]
    most = sorted(there, key=lambda task: -there[task])[:2]
    named = [f"`{task.partition('/')[2].rpartition('-v')[0]}` ({there[task]:.2f})" for task in most]
    before = over_tasks(task_skills(best.result)["consistency"])

    def both(model: Model) -> tuple[float, float]:
        """Physical consistency in `core` as the board has it, and as the mean over tasks of this part."""
        of_board = model.result.axes["consistency"].skill
        assert of_board is not None
        return of_board, over_tasks(task_skills(model.result)["consistency"]).value

    widest = max(models, key=lambda m: abs(both(m)[0] - both(m)[1]))
    of_board, here = both(widest)
    return [
        "A board has the mean over families, less what a model loses on "
        f"[guards](methodology.md#from-quality-to-skill): {widest.name} has {of_board:.2f} of consistency in "
        f"`core` there, {here:.2f} here.",
        f"Of physical consistency the best there, {best.name}, has {over_tasks(there)} instead of {before}; most in "
        f"{listed(named)}.",
        *(
            _above(AXIS_NAMES[axis], [(m, over_tasks(shown[m.label].skills[axis])) for m in models])
            for axis in TRANSFER
        ),
    ]


def _above(what: str, found: Sequence[tuple[Model, Value]]) -> str:
    """Sentence on who is above a frozen frame on an axis."""
    above = [(model, value) for model, value in found if sign(value) > 0]
    by = f", by {listed([str(value) for _, value in above])}" if above else ""
    return f"Above a frozen frame on {what} for sure: {counted(len(above), len(found), [m for m, _ in above])}{by}."


def saboteurs_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Sentence on how often PSNR, SSIM, and consistency or permanence, put a poor picture above a broken law."""

    def physics(row: Mapping[str, Any]) -> float:
        return float(min(row["consistency"], row["permanence"]))

    pairs = [(good, bad) for good in rows if good["lawful"] for bad in rows if not bad["lawful"]]
    psnr, ssim = (sum(good[name] > bad[name] for good, bad in pairs) for name in ("PSNR", "SSIM"))
    by_physics = sum(physics(good) > physics(bad) for good, bad in pairs)
    return (
        f"Of {len(pairs)} pairs of a kind of picture that breaks no law and a broken law, PSNR puts the lawful one "
        f"above in {psnr}, SSIM in {ssim}, the lesser of consistency and permanence in {by_physics}."
    )


def surprise_text(found: Sequence[Surprise], skill: Mapping[str, float], of: str = "pixel") -> list[str]:
    """Sentences on surprise beside skill; `skill` is overall by model, `of` what baselines are of."""
    if not found:
        return []
    best = max(found, key=lambda each: each.all.value)
    above = [f"`{each.model}`" for each in found if apart(each.all, each.baseline)]
    copied = [each for each in found if each.untrained is not None]
    learned = [f"`{each.model}`" for each in copied if each.untrained and apart(each.all, each.untrained)]
    made = [
        f"`{best.model}` tells most pairs apart: {best.all}. Guessing gives 0.50, the best of the {of} baselines "
        f"{best.baseline}: above it for sure {counted(len(above), len(found), above)}.",
    ]
    if copied:
        made.append(f"Above its own untrained copy for sure: {counted(len(learned), len(copied), learned)}.")
    if len(found) >= FEWEST_MODELS:
        rho = rank_correlation([each.all.value for each in found], [skill[each.model] for each in found])
        made.append(correlation_text("Surprise", rho, len(found)))
    if left := [f"`{model}`" for model in skill if model not in {each.model for each in found}]:
        made.append(f"Not asked: {listed(left)}.")
    return made


CHANGES = {-1: "falls for sure", 0: "is not told apart", 1: "rises for sure"}


def errors_text(before: Trained, after: Trained, ratios: Mapping[str, Value]) -> str:
    """How the errors of velocity inside and outside of the ranges change."""
    parts = {}
    for part in ("inside", "outside"):
        old, new = getattr(before, part), getattr(after, part)
        parts[part] = f"{CHANGES[change(before, after, part, ratios)]} ({old.value:.2f} to {new.value:.2f} m/s"
        parts[part] += f", times {ratios[part]} on the same clips)" if part in ratios else ")"
    return f"the error of velocity inside {parts['inside']}, outside it {parts['outside']}"


def curve_cells(curves: Sequence[Trained]) -> list[list[str]]:
    """The rows of the table of data and size: networks by the clips they learned from, baselines after them.

    An error that differs for sure from that of the same network on the fewest clips is bold.
    """
    fewest = {(rows[0].kind, rows[0].size): rows[0] for rows in curves_by(curves, "data")}
    made = []
    for each in sorted(curves, key=lambda each: (not each.size, each.kind, each.parameters, each.clips or np.inf)):
        cells = [
            f"{each.name} {each.size}".strip(),
            f"{each.clips:,}" if each.clips else "–",
            str(each.overall),
        ]
        first = fewest.get((each.kind, each.size), each)
        for part in ("inside", "outside"):
            bold = "**" * bool(change(first, each, part, each.of_fewest))
            cells.append(f"{bold}{getattr(each, part)}{bold}")
        made.append(cells)
    return made


def curves_text(curves: Sequence[Trained]) -> list[str]:
    """Sentences on errors by data and by size, on bodies not shown, on memories, and on what PhyWorld says."""
    made, verdicts = [], []
    for by in ("data", "size"):
        lines = curves_by(curves, by)
        ends = [(rows[0], rows[-1], rows[-1].of_fewest if by == "data" else rows[-1].of_smallest) for rows in lines]
        longer = [rows for rows in lines if len(rows) > 2] if by == "data" else []
        if longer:
            steps = {part: sum(change(*rows[-2:], part, {}) < 0 for rows in longer) for part in ("inside", "outside")}
            made.append(
                f"From {longer[0][-2].clips:,} to {longer[0][-1].clips:,} clips alone the error falls for sure inside "
                f"in {counted(steps['inside'], len(longer))}, outside in {counted(steps['outside'], len(longer))}."
            )
        if by == "size":
            made += [
                f"`{small.kind}` on {small.clips:,} clips, {small.parameters:,} to {large.parameters:,} numbers: skill "
                f"{small.overall} to {large.overall}; {errors_text(small, large, ratios)}."
                for small, large, ratios in ends
            ]
        falls: dict[str, list[bool]] = {}
        for first, last, ratios in ends:
            falls.setdefault(first.kind, []).append(change(first, last, "outside", ratios) < 0)
        said = []
        for kind, found in falls.items():
            verdict = "refuted" if all(found) else "open"
            said.append(f"**{verdict}** with `{kind}` (they fall for sure in {counted(sum(found), len(found))})")
        if said:
            verdicts.append(f"for {by} {listed(said)}")
    unseen: dict[str, list[float]] = {}
    for row in curves:
        if row.unseen is not None:
            unseen.setdefault(row.name, []).append(row.unseen)
    if unseen:
        shares = [f"{name} {percents(found)}" for name, found in sorted(unseen.items())]
        made.append(
            f"Errors are of what a model shows. Frames of bodies outside that it does not show: {listed(shares)}."
        )
    stored = sorted((row for row in curves if row.kind == "memory"), key=lambda row: row.clips)
    if len(stored) > 1:
        few, many = stored[0], stored[-1]
        made.append(
            f"A memory of {few.clips:,} to {many.clips:,} clips, which looks up and learns no law: skill "
            f"{few.overall} to {many.overall}; the error of velocity inside {few.inside.value:.2f} to "
            f"{many.inside.value:.2f} m/s, outside {few.outside.value:.2f} to {many.outside.value:.2f} m/s."
        )
    if verdicts:
        made.append(
            "PhyWorld's statement that errors outside the ranges do not fall is, of these networks and this training, "
            f"{'; '.join(verdicts)}."
        )
    return made


def state_cells(board: Board) -> list[list[str]]:
    """The rows of the table of models of states, baselines among them, best first."""
    made = []
    for model in board.shown:
        result, numbers = model.result, None if model in board.beside else parameters(model)
        lawful = None if result.lawful is None else result.lawful.seconds
        untrained = board.untrained.get(result.model.name)
        made.append(
            [
                model.name,
                "–" if numbers is None else f"{numbers:,}",
                "–" if untrained is None else skill_text(untrained.result.overall),
                *(skill_text(each) for each in (result.overall, result.axes["consistency"], result.axes["drift"])),
                "–" if lawful is None else f"{lawful:.1f} s",
                *(laws_cell(model, family) for family in result.by_family),
            ]
        )
    return made


def skill_text(skill: SkillValue) -> str:
    """A skill that an entry has, with its interval."""
    assert skill.skill is not None
    return str(Value(skill.skill, skill.interval))

"""Draw the figures of the page on findings from what findings_read.py read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import MultipleLocator
from methodology_draw import AMBER, BLUE, GREEN, GREY, INK, LINE, RED, SOFT, STYLE

if TYPE_CHECKING:
    from findings_read import Findings, Model

BIG = STYLE | {"font.size": 10.5, "axes.titlesize": 10.5, "xtick.labelsize": 9, "ytick.labelsize": 10.5}
WIDTH = 9.6  # inches
AXES = {"consistency": "consistency", "permanence": "permanence", "drift": "drift"}
LOOKS = {
    "appearance/persistence-skill": "persistence-skill",
    "drift/background": "change of background",
    "drift/sharpness": "sharpness, truth 1",
    "PSNR": "PSNR, dB",
    "SSIM": "SSIM",
    "Fréchet distance": "Fréchet distance",
}
TASK_COLOURS = (BLUE, AMBER, GREEN, RED)


def draw(found: Findings, folder: Path) -> Iterator[Path]:
    """Write every figure of which the board has the numbers as SVG, and give their paths."""
    made = {
        "skill": skill(found),
        "hidden": hidden(found),
        "horizon": horizon(found),
        "ranges": ranges(found),
        "pixels": pixels(found) if found.correlations else None,
        "curves": curves(found) if found.curves else None,
    }
    for name, figure in made.items():
        path = folder / f"findings-{name}.svg"
        if figure is None:
            path.unlink(missing_ok=True)
            continue
        with plt.rc_context(BIG):
            figure.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(figure)
        text = path.read_text(encoding="utf-8")
        path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")
        yield path


def rows_of(figure: Any, axes: Any, models: Sequence[Model], found: Findings) -> None:
    """Name the rows, best on top, baselines in grey."""
    axes[0].set_yticks(range(len(models)), [model.label for model in models])
    axes[0].set_ylim(len(models) - 0.5, -0.5)
    for label, model in zip(axes[0].get_yticklabels(), models, strict=True):
        label.set_color(INK if model in found.board.models else GREY)
    for axis in axes:
        axis.tick_params("y", length=0)
        axis.spines["left"].set_visible(False)
        for y in range(len(models)):
            axis.axhline(y, color=LINE, lw=0.6, zorder=0)


def dot(axis: Any, y: float, value: float, interval: Any, colour: str, **look: Any) -> None:
    """A number with its interval in a row."""
    if interval is not None:
        axis.plot(interval, [y, y], color=colour, lw=1.8, solid_capstyle="round")
    axis.plot(value, y, "o", color=colour, ms=4.5, **look)


def skill(found: Findings) -> Any:
    """Overall skill, and that by axis and family, a row a model."""
    models, families = found.board.shown, list(found.board.models[0].result.by_family)
    with plt.rc_context(BIG):
        figure, axes = plt.subplots(
            1,
            4 + len(families),
            figsize=(WIDTH, 1.2 + 0.36 * len(models)),
            sharey=True,
            sharex=True,
            layout="constrained",
        )
        for axis, title in zip(axes, ("overall", *AXES.values(), *families), strict=True):
            axis.set_title(title, loc="center", fontweight="bold" if title == "overall" else "normal")
            axis.axvline(0, color=GREY, lw=0.8)
            axis.axvline(1, color=GREY, lw=0.8, ls=(0, (1, 2)))
        rows_of(figure, axes, models, found)
        for y, model in enumerate(models):
            colour, result = BLUE if model in found.board.models else GREY, model.result
            values = [result.overall, *(result.axes.get(a) for a in AXES), *(result.by_family.get(f) for f in families)]
            for axis, value in zip(axes, values, strict=True):
                if value is not None and value.skill is not None:
                    dot(axis, y, value.skill, value.interval, colour)
        axes[0].set_xlim(-1.08, 1.08)
        axes[0].set_xticks([-1, 0, 1])
        figure.supxlabel(
            "skill: 0 as a frozen frame, 1 as ground truth; bars are 95 % intervals", fontsize=10, color=SOFT
        )
    return figure


def hidden(found: Findings) -> Any:
    """Share that comes back from behind a screen against the time for which it is hidden, a panel a model."""
    models, columns = list(found.hidings), min(5, len(found.hidings))
    lines = -(-len(models) // columns)
    with plt.rc_context(BIG):
        figure, axes = plt.subplots(
            lines,
            columns,
            figsize=(WIDTH, 0.8 + 2.2 * lines),
            sharex=True,
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for axis, model in zip(axes.flat, models, strict=False):
            each = found.hidings[model]
            for number, (task, colour) in enumerate(zip(each.seconds, TASK_COLOURS, strict=False)):
                parts, marker = each.bins(task), "os"[number % 2]
                times, shares = [time + 0.012 * number for time, _ in parts], [share.value for _, share in parts]
                for time, (_, share) in zip(times, parts, strict=True):
                    axis.plot([time, time], share.interval, color=colour, lw=2, alpha=0.4, solid_capstyle="round")
                axis.plot(times, shares, marker, ls="-", lw=1.3, ms=5.5, color=colour, label=task.split("/")[1][:-3])
            axis.set_title(model.label, loc="center", fontsize=9.5, color=INK if model in found.board.models else GREY)
        for axis in list(axes.flat)[len(models) :]:
            axis.axis("off")
        axes[0, 0].set_ylim(-0.04, 1.04)
        axes[0, 0].set_yticks([0, 0.5, 1], ["0", "½", "all"])
        axes[0, 0].set_xlim(0.15, None)
        axes[0, 0].xaxis.set_major_locator(MultipleLocator(0.2))
        figure.supxlabel("time for which ground truth hides the body, s", fontsize=10, color=SOFT)
        figure.supylabel("comes back as it should", fontsize=10, color=SOFT)
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False)
    return figure


def horizon(found: Findings) -> Any:
    """How long motion is lawful, how long it is near the recorded future, and how strongly laws are broken."""
    models = found.board.shown
    with plt.rc_context(BIG):
        figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 1.3 + 0.36 * len(models)), sharey=True, layout="constrained")
        rows_of(figure, axes, models, found)
        for y, model in enumerate(models):
            colour, result = BLUE if model in found.board.models else GREY, model.result
            if result.lawful is not None and result.lawful.seconds is not None:
                dot(axes[0], y, result.lawful.seconds, result.lawful.interval, colour)
                axes[0].set_xlim(0, result.lawful.horizon * 1.03)
                axes[0].plot(result.lawful.horizon, y, "|", color=GREY, ms=11)
            near, asked = (
                found.seconds(model, f"drift/accuracy.{what}") for what in ("time-to-failure", "predictability")
            )
            if near is not None:
                dot(axes[1], y, near.value, near.interval, colour)
            if asked is not None:
                axes[1].plot(asked.value, y, "|", color=GREY, ms=11)
                axes[1].set_xlim(0, asked.value * 1.03)
            if result.strength is not None and result.strength.all.median is not None:
                dot(axes[2], y, result.strength.all.median, result.strength.all.quartiles, colour)
        axes[0].set_title("physical for, s", loc="center")
        axes[1].set_title("near the recorded future, s", loc="center")
        axes[2].set_title("strength, diameters", loc="center")
        axes[2].set(xscale="log", xlim=(0.008, 2.4))
        axes[2].set_xticks([0.01, 0.03, 0.1, 0.3, 2], ["0.01", "0.03", "0.1", "0.3", "2: lost"])
        axes[2].minorticks_off()
    return figure


def ranges(found: Findings) -> Any:
    """Quality inside the ranges of training and outside of them, by axis."""
    models, used = [m for m in found.board.shown if "all" in m.result.gaps], set()
    with plt.rc_context(BIG):
        figure, axes = plt.subplots(
            1, 3, figsize=(WIDTH, 1.6 + 0.36 * len(models)), sharey=True, sharex=True, layout="constrained"
        )
        rows_of(figure, axes, models, found)
        for axis, (name, title) in zip(axes, AXES.items(), strict=True):
            axis.set_title(title, loc="center")
            for y, model in enumerate(models):
                gap = model.result.gaps["all"].get(name)
                if gap is None or gap.gap is None or gap.test is None or gap.ood is None:
                    continue
                sure = gap.interval is not None and gap.interval[0] > 0
                better = gap.interval is not None and gap.interval[1] < 0
                colour = RED if sure else GREEN if better else GREY
                used.add(colour)
                interval = None if gap.interval is None else (gap.test - gap.interval[1], gap.test - gap.interval[0])
                dot(axis, y, gap.ood, interval, colour)
                axis.plot(gap.test, y, "o", mfc="white", mec=INK, ms=6.5, mew=1.2, zorder=3)
        axes[0].set_xlim(-0.04, 1.04)
        axes[0].plot([], [], "o", mfc="white", mec=INK, ms=6.5, label="inside the ranges")
        for colour, what in ((RED, "lower for sure"), (GREEN, "higher for sure"), (GREY, "not told apart")):
            if colour in used:
                axes[0].plot([], [], "o", color=colour, ms=4.5, label=f"outside, {what}")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
        figure.supxlabel("quality; bars are 95 % intervals of the difference", fontsize=10, color=SOFT)
    return figure


def pixels(found: Findings) -> Any:
    """Readings of pixels, a row a model, in the order of overall skill."""
    names = list(found.correlations)
    models = [m for m in found.board.shown if found.pixels[m]]
    size = WIDTH + 1.6 * max(0, len(names) - 3), 1.5 + 0.36 * len(models)
    with plt.rc_context(BIG):
        figure, axes = plt.subplots(1, 1 + len(names), figsize=size, sharey=True, layout="constrained")
        rows_of(figure, axes, models, found)
        axes[0].set_title("overall skill", loc="center", fontweight="bold")
        axes[0].axvline(0, color=GREY, lw=0.8)
        for axis, name in zip(axes[1:], names, strict=True):
            rho = found.correlations[name][0]
            axis.set_title(f"{LOOKS[name]}\nrank correlation\n{rho}", loc="center", fontsize=9.5)
        for y, model in enumerate(models):
            colour = BLUE if model in found.board.models else GREY
            dot(axes[0], y, model.overall, model.result.overall.interval, colour)
            for axis, name in zip(axes[1:], names, strict=True):
                if name in found.pixels[model]:
                    dot(axis, y, found.pixels[model][name].value, None, colour)
        for axis in axes:
            axis.margins(x=0.1)
    return figure


def curves(found: Findings) -> Any:
    """Skill and errors of velocity, inside and outside of the ranges of training, against the clips learned from."""
    trained = [each for each in found.curves if each.clips]
    kinds = list(dict.fromkeys(each.kind for each in trained))
    colours = dict(zip(kinds, (BLUE, AMBER, GREEN, RED, GREY), strict=False)) | {"memory": GREY}
    panels = {"overall": "overall skill", "inside": "error of velocity\ninside, m/s", "outside": "outside, m/s"}
    with plt.rc_context(BIG):
        figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.4), layout="constrained")
        for axis, (part, title) in zip(axes, panels.items(), strict=True):
            axis.set_title(title, loc="center")
            axis.set(xscale="log")
            for straight in (each for each in found.curves if not each.clips):
                axis.axhline(getattr(straight, part).value, color=GREY, lw=1, ls=(0, (1, 2)), label=straight.kind)
            for kind, size in dict.fromkeys((each.kind, each.size) for each in trained):
                rows = sorted((e for e in trained if (e.kind, e.size) == (kind, size)), key=lambda each: each.clips)
                values, shift = [getattr(each, part) for each in rows], 1.06 if size == "M" else 1.0
                x = [each.clips * shift for each in rows]
                for place, value in zip(x, values, strict=True):
                    if value.interval is not None:
                        axis.plot([place, place], value.interval, color=colours[kind], lw=1.8, alpha=0.5)
                look = {"ls": "--", "mfc": "white"} if size == "M" else {}
                name = f"{kind} {size}".strip()
                axis.plot(x, [v.value for v in values], marker="o", color=colours[kind], ms=5, label=name, **look)
            axis.set_xticks(sorted({each.clips for each in trained}))
            axis.set_xticks([], minor=True)
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        for axis in axes[1:]:
            axis.set_ylim(0, max(axis.get_ylim()[1] for axis in axes[1:]))
        figure.supxlabel("clips learned from; bars are 95 % intervals over clips", fontsize=10, color=SOFT)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, frameon=False)
    return figure

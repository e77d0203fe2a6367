"""Write docs/findings.md, what each kind of model gets wrong, and its figures, from the entries of a board.

python docs/figures/findings.py [BOARD]                        the page and docs/images/findings-*.svg
python docs/figures/findings.py [BOARD] --pixels RUN [RUN ...]  first read what follows from frames alone of these runs
python docs/figures/findings.py [BOARD] --rollouts RUN [RUN ...] first read errors of pixels of runs with kept rollouts
python docs/figures/findings.py [BOARD] --samples RUN [RUN ...] first read runs with several samples a clip
python docs/figures/findings.py [BOARD] --surprise RUN [RUN ...] first read runs of the suite `expectation`
python docs/figures/findings.py [BOARD] --transfer RUN [RUN ...] first read runs on the tasks that `full` adds

All figures of the page are those of the entries, and its words follow from them. An entry keeps what follows from
tracks of one sample. In findings.json beside this file lie three readings of pixels of the same rollouts, errors of
pixels, what several samples cover, which impossible films surprise, and skill in tasks that `core` does not have; in
data_and_size.csv skill against data and size (benchmarks/data_and_size.py). Readings of models that no RUN is of stay.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from findings_read import (
    BOARD,
    HERE,
    READ,
    STATES,
    Findings,
    Model,
    Value,
    find,
    kept_values,
    parameters,
    read_pixels,
    read_rollouts,
    read_samples,
    read_surprise,
    read_transfer,
    straight_on,
)
from findings_words import (
    comparisons,
    curve_cells,
    curves_text,
    gaps_text,
    hidden_text,
    horizon_text,
    laws_text,
    listed,
    margins,
    pixels_text,
    saboteurs_text,
    samples_text,
    state_cells,
    surprise_text,
    transfer_cells,
    transfer_text,
)
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pixel_errors import SABOTEURS

PAGE, IMAGES = HERE.parent / "findings.md", HERE.parent / "images"


def page(found: Findings) -> str:
    """The page as Markdown."""
    board = found.board
    results = [model.result for model in board.models]
    trained: dict[int | None, list[Model]] = {}
    for model in board.models:
        trained.setdefault(model.result.model.card.training_clips, []).append(model)
    most_first = sorted(trained.items(), key=lambda item: -len(item[1]))
    numbers = [n for m in board.models if (n := parameters(m)) is not None]
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made = environment.get_template("findings.md.j2").render(
        board=board,
        suites=listed(sorted({f"`{r.suite.name}` {r.suite.version}{'-dev' * r.provisional}" for r in results})),
        clips=listed(sorted({f"{r.suite.clips}" for r in results})),
        sizes=listed(sorted({r.render_spec.replace("@", " px at ") + " frames/s" for r in results})),
        contexts=listed(sorted({f"{r.context}" for r in results})),
        tasks=listed(sorted({f"{len(r.suite.tasks)}" for r in results})),
        budgets=[(listed(models), clips) for clips, models in most_first if clips],
        sizes_of_networks=listed([f"{n:,}" for n in (min(numbers), max(numbers))] if numbers else []),
        comparisons=comparisons(board),
        margins=margins(board),
        families=list(results[0].by_family),
        laws=laws_text(board),
        hidden=hidden_text(board, found.back, found.hidings),
        hidden_clips=sum(map(len, found.hidings[board.models[0]].seconds.values())),
        horizon=horizon_text(board),
        gaps=gaps_text(board),
        pixels=pixels_text(found.correlations),
        saboteurs=(saboteurs := json.loads(SABOTEURS.read_text(encoding="utf-8"))),
        saboteurs_text=saboteurs_text(saboteurs),
        errors=sorted(  # suites whose rollouts the errors of pixels are of
            {f"{each['clips']} clips of `{each['suite']}`" for each in kept_values().get("rollouts", {}).values()}
        ),
        has_pixels=bool(found.correlations),
        stochastic=[m for m in board.models if m.result.model.card.stochastic],
        samples=found.samples,
        samples_text=samples_text(found.samples, straight_on(found.samples)),
        transfer=found.transfer,
        transfer_cells=transfer_cells(board, found.transfer),
        transfer_text=transfer_text(board, found.transfer),
        surprise=found.surprise,
        skill={model.label: Value(model.overall, None) for model in board.models},
        surprise_text=surprise_text(found.surprise, {model.label: model.overall for model in board.models}),
        curves=found.curves,
        curves_part=found.curves[0].suite.partition(", ")[2] if found.curves else "",
        curves_clips=[f"{n:,}" for n in sorted({each.clips for each in found.curves if each.size})],
        curves_cells=curve_cells(found.curves),
        curves_text=curves_text(found.curves),
        states=[] if found.states is None else state_cells(found.states),
        states_surprise=found.states_surprise,
        states_surprise_text=surprise_text(
            found.states_surprise,
            {model.label: model.overall for model in found.states.models} if found.states else {},
            "state",
        ),
        states_text=[] if found.states is None else [*comparisons(found.states), margins(found.states)],
        listed=listed,
    )
    return "\n".join(line.rstrip() for line in made.strip().splitlines()) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board", type=Path, nargs="?", default=BOARD)
    parser.add_argument("--states", type=Path, default=STATES, help="board of models of states")
    parser.add_argument("--pixels", type=Path, nargs="+", default=[])
    parser.add_argument("--rollouts", type=Path, nargs="+", default=[])
    parser.add_argument("--samples", type=Path, nargs="+", default=[])
    parser.add_argument("--surprise", type=Path, nargs="+", default=[])
    parser.add_argument("--transfer", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    readers = {
        "pixels": read_pixels,
        "rollouts": read_rollouts,
        "samples": read_samples,
        "surprise": read_surprise,
        "transfer": read_transfer,
    }
    for name, read in readers.items():
        if runs := getattr(options, name):
            kept_values()[name] = dict(sorted((kept_values().get(name, {}) | read(runs)).items()))
    from findings_draw import draw

    found = find(options.board, options.states)
    READ.write_text(json.dumps(kept_values(), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(found), encoding="utf-8")
    for path in draw(found, IMAGES):
        print(path)


if __name__ == "__main__":
    main()

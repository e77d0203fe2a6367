"""Write core.json, the figures of the task gallery, from the results of whole runs of the reference model.

python docs/figures/make.py runs/objects-core-1 runs/objects-actions-1
"""

import json
import sys
from pathlib import Path

from physbench.result.document import read_result

SOURCES = {"truth": "ground truth", "freeze": "frozen frame", "constant-velocity": "constant velocity"}


def main(runs: list[str]) -> None:
    tasks: dict[str, dict[str, dict[str, float | None]]] = {}
    for run in runs:
        result = read_result(Path(run, "result.json"))
        for task, axes in result.tasks.items():
            rows: dict[str, dict[str, float | None]] = {label: {} for label in SOURCES.values()}
            own = rows.setdefault(f"reference:{result.model.name}", {})
            for axis, found in axes.items():
                for source, label in SOURCES.items():
                    rows[label][axis] = found.references[source]
                own[axis] = found.quality
            rows["kind"] = {axis: found.kind for axis, found in axes.items()}
            tasks[task] = rows
    document = {"made_with": "python docs/figures/make.py RUN ...", "tasks": dict(sorted(tasks.items()))}
    Path(__file__).with_name("core.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

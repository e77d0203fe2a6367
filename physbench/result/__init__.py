"""From the scores of a run to its result, the laws that a model follows instead, and the report.

- `document`: what result.json holds. `manifest`: what manifest.json holds. `read`: finished runs on disk.
- `build`: result.json of a run, from `skill`, `bootstrap`, `levels`, `readings` and `coverage`.
- `findings`: what a run does wrong, most explaining first; `sentences` are made from it.
- `compare`: paired differences of runs on the same clips. `stop_rule`: when a run may end early.
- `diagnosis/`: changed worlds. `report/`: page, terminal, Markdown.

python -m physbench.result.document writes the published schema; python -m physbench.result.task_roles RUN fixes which
tasks are informative.
"""

"""From the scores of a run to its result: skill with intervals at every level, readings by task, sentences.

What other packages use:

- `build_result.build_result`, `write_result`: the result document of a finished run.
- `schema.ResultDocument`, `read_result`: what result.json holds, and how to read it.
- `run_comparison.compare`: paired differences of runs on the same clips.
- `read_run.read_run`: manifest and score tables of a finished run.
- `skill`, `bootstrap`, `levels`: skill between ground truth and the frozen frame, and its intervals.
- `findings`: what a run does wrong, most explaining first; all sentences are made from it.
- `law_phrases`: what a sentence may call broken, as the scorers declare it.
- `lawful_fraction`: lawfulness over time, for charts.

python -m physbench.results.schema writes the published schema; python -m physbench.results.task_roles RUN fixes which
tasks are informative.
"""

"""A result for people: the page of a run, its summary on a terminal, and a result as Markdown or CSV.

- `summary`, `tables`: what is said wherever a result is shown. `data`: curves, pictures and explanations of some
  clips.
- `page`: report/index.html; `templates/` has its text. `charts`, `pictures`, `clips`: its parts.
- `terminal`, `markdown`: the other forms. `runs`: the runs of a folder as a page.
"""

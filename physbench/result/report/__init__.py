"""A result for people: the page of a run, its summary on a terminal, and a result as Markdown or CSV.

- `summary`, `tables`: what is said wherever a result is shown. `data`: the clips that are shown, their curves,
  pictures and explanations.
- `page`: report/index.html; `templates/` has its text. `charts`, `pictures`: its parts.
- `terminal`, `markdown`: the other forms. `runs`: the runs of a folder as a page.
"""

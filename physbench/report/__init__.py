"""A result for people: the page of a run, its summary on a terminal, and a result as Markdown or CSV.

What other packages use:

- `report_page.write_report`: report/index.html of a run. `report_data` collects its data, `templates/` has its text.
- `terminal_summary.print_summary`, `comparison_table.print_comparison`: on a terminal.
- `markdown_csv.markdown`, `csv_of_tasks`, `csv_of_clips`: other formats.
- `clip_selection.shown_clips`: the clips whose rollouts the page needs.

The other modules make the parts of the page: charts, film strips, players, close-ups of breaks, tables, sentences.
"""

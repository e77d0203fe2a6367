"""The report: its page, charts, clips and tables, and the summary on a terminal."""

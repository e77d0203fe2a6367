"""Styles of drawing: `catalogue` has the looks by name, `prompt` their words; `natural/` is the other look."""

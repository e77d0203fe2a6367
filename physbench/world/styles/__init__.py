"""How scenes are drawn: `catalogue` has the looks by name, `prompt` their words; `natural/` is the other look."""

"""The result document: skill, intervals, their schema, and the comparison of runs."""

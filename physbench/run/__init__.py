"""Plans, executes and resumes an evaluation."""

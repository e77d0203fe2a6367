"""Clips, suites, their generation and the store on disk."""

"""The result document, its schema, and the report."""

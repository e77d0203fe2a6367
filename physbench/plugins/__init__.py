"""Code that is found at run time: entry points, files of the user's, and what those import from their folder."""

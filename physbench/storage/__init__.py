"""What lies on disk: the run folder, files that are written whole or not at all, and the sources that decide them."""

"""Files: `run_folder` (where each file of a run lies), `atomic_write` (written whole or not at all), `cache_dir`,
`remote_folder` (a folder behind a URL), and `fingerprint` (which sources decide a result).
"""

"""Probes of latents: which physical quantities can a linear read-out take from what a model carries of a film?

    found = probe_model("reference:rssm", suite="core")   # encode, fit by clip, read, compare
    print(markdown_table(found))

`physbench probe MODEL` does all of it. See docs/probes.md.
"""

from __future__ import annotations

"""Sphinx builds these pages: sphinx-build -W -n docs build/docs.

Gallery and scorer reference come from the code, the validity page from docs/validity.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "physbench"
author = "the physbench authors"
copyright = "the physbench authors"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generated_pages",
    "formulas",
]
html_math_renderer = "drawn"
exclude_patterns = ["_ext"]
myst_enable_extensions = ["attrs_block", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!physbench\.\w+$).*")]  # types inside annotations, which are not on the page
napoleon_numpy_docstring = False
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
html_theme = "furo"
html_title = "physbench"
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None

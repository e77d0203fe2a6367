"""Draw formulas when the pages are built: no script from elsewhere is needed to read them."""

from __future__ import annotations

import io
import re
from html import escape

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

INK = "#010203"  # stands for the colour of the text
SAME = {r"\lVert": r"\Vert", r"\rVert": r"\Vert", r"\text{": r"\mathrm{", r"\tfrac": r"\frac"}  # for mathtext


def drawn(formula: str, size: float) -> str:
    """A formula of TeX as an <svg> that stands on the line of the text, `size` in points."""
    from matplotlib import rc_context
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import math_to_image

    text = " ".join(formula.split())
    for written, known in SAME.items():
        text = text.replace(written, known)
    text = re.sub(r"\\(le|ge)(?![a-z])", r"\\\1q", text)
    target = io.StringIO()
    with rc_context({"svg.hashsalt": "physbench", "mathtext.fontset": "cm"}):
        depth = math_to_image(f"${text}$", target, FontProperties(size=size), dpi=72, format="svg", color=INK)
    svg = target.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL).replace(INK, "currentColor")
    head = f'<svg role="img" aria-label="{escape(text)}" style="vertical-align:{-depth:.2f}pt;max-width:100%"'
    return svg.replace("<svg", head, 1)


def inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(drawn(node.astext(), 11.5))
    raise nodes.SkipNode


def block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div style="text-align:center;margin:1rem 0;overflow-x:auto">{drawn(node.astext(), 13)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("drawn", (inline, None), (block, None))
    return {"parallel_read_safe": True}

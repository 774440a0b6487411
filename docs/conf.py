"""The site: ``make docs`` builds ``docs/`` with Sphinx into ``build/site``; a warning is an error."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".typing"))

import penstock

project = "Penstock"
author = "the founders of Penstock"
release = penstock.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["README.md"]
html_theme = "furo"
html_title = f"Penstock {release}"
html_extra_path = ["llms.txt"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autoclass_content = "both"
nitpicky = False
suppress_warnings = ["myst.header", "ref.python"]

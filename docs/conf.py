"""Configuration of the documentation site.

https://www.sphinx-doc.org/en/master/usage/configuration.html
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_extensions"))

from jupyter_workspaces import __version__  # noqa: E402

project = "jupyter-workspaces"
author = "the jupyter-workspaces contributors"
copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    # In docs/_extensions:
    "generated_pages",
    "root_pages",
]
exclude_patterns = ["_build", "generated"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

default_role = "code"
smartquotes_action = "D"  # Sphinx itself writes hyphens where it means a dash

highlight_language = "text"
add_module_names = False
python_use_unqualified_type_names = True
autodoc_member_order = "groupwise"
autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

copybutton_exclude = ".linenos, .gp"

html_theme = "pydata_sphinx_theme"
html_title = f"jupyter-workspaces {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_domain_indices = False
html_context = {"default_mode": "auto"}  # light or dark, as the browser says
html_theme_options = {
    "logo": {"text": "jupyter-workspaces"},
    "show_toc_level": 2,
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": {"**": ["page-toc"], "http-api": []},  # its overview is a table
}
html_sidebars = {"index": [], "changelog": []}

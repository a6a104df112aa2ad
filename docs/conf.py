"""How Sphinx makes pages of this folder: `make docs`, which puts them into build/docs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import reactor

project = "reactor"
copyright = "the authors of reactor"
version = release = reactor.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3

# What modules of the reference import, and what need not be installed to read their docstrings.
autodoc_mock_imports = ["trio", "prometheus_client", "opentelemetry", "nats", "ray"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# A short name in a signature may be that of two classes: Recorder, of testing and of monitor.
suppress_warnings = ["ref.python"]

html_theme = "furo"
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_css_files = ["reactor.css"]
html_title = f"reactor {version}"
html_show_sphinx = False
html_copy_source = False

"""How Sphinx builds the documentation: `make docs`. Only this file and the hidden tables of contents know Sphinx."""

import modelyard

project = "Modelyard"
author = "The Modelyard authors"
project_copyright = author
release = modelyard.__version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_block"]
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = "Modelyard"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"source_edit_link": "", "source_view_link": ""}

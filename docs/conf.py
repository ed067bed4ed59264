"""Settings of the documentation.

``sphinx-build -W --keep-going docs docs/_build/html`` needs no network connection.
"""

import fastnn

project = "fastnn"
author = "fastnn developers"
version = release = fastnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "myst_nb",
    "numpydoc",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
nb_execution_mode = "off"  # the notebooks have their outputs, and a test runs them
default_role = "py:obj"  # `MLP` in a docstring is a link where it can be one

autodoc_mock_imports = ["sklearn"]
autosummary_generate = False  # each table in api/ links to entries on its own page
autodoc_preserve_defaults = True
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings have types with shapes
numpydoc_show_class_members = False
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"fastnn {release}"
html_static_path = ["_static"]
html_css_files = ["fastnn.css"]
html_copy_source = False
html_show_copyright = False

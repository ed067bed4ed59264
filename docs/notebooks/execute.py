"""Execute the notebooks of the documentation and keep their outputs.

``python docs/notebooks/execute.py`` needs nbclient, ipykernel and scikit-learn. The
outputs are those of the bundled digits. Pictures get 64 colours, to be small.
"""

import base64
import io
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

METADATA = {
    "kernelspec": {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}


def execute(path: Path) -> None:
    """Run all cells of a notebook in an empty folder, and write it with outputs."""
    notebook = nbformat.read(path, 4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=600,
            record_timing=False,
            coalesce_streams=True,  # of a progress bar, the last line
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = reduced(output.data["image/png"])
    notebook.metadata = METADATA  # without the version of Python
    nbformat.write(notebook, path)


def reduced(picture: str) -> str:
    """Return a picture, PNG in base64, in 64 colours."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    file = io.BytesIO()
    image.quantize(64).save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    os.environ.pop("FASTNN_DATA", None)
    for found in sorted(Path(__file__).parent.glob("*.ipynb")):
        execute(found)

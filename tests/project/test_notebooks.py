"""The notebooks, run from top to bottom on small data by a kernel."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_they_are_numbered_in_order():
    numbers = [int(path.stem.partition("_")[0]) for path in NOTEBOOKS]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.fixture(scope="module")
def kernel():
    """One for all of them, since most of the time would go into importing; see `FRESH`."""
    places = [str(ROOT / place) for place in (".", "integrations", "tests/samples")]
    places.append(os.environ.get("PYTHONPATH", ""))
    settings = {"PYTHONPATH": os.pathsep.join(filter(None, places)), "S3_RETRIEVER_SMALL": "1"}
    manager = AsyncKernelManager(kernel_name="python3")
    asyncio.run(manager.start_kernel(env={**os.environ, **settings}))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CHEAP)])
    NotebookClient(notebook, km=manager, timeout=None, startup_timeout=600).execute()
    yield manager
    asyncio.run(manager.shutdown_kernel(now=True))


CHEAP = "import cheap_examples\ncheap_examples.install()"
FRESH = "%reset -f\nimport os\nos.chdir({!r})\ndel os"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(path, kernel, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(FRESH.format(str(tmp_path))))
    client = NotebookClient(notebook, km=kernel, timeout=None, startup_timeout=600)
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert outputs

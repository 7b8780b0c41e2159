"""The notebooks run from the first cell to the last, on the kernel of this very interpreter."""

import os
import sys

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient


class ThisPython(KernelSpecManager):
    """Gives the interpreter of the tests whatever kernel a notebook names."""

    def get_kernel_spec(self, kernel_name):
        spec = super().get_kernel_spec(kernel_name)
        spec.argv[0] = sys.executable
        return spec


@pytest.fixture(scope="module")
def outputs(repository, tmp_path_factory):
    notebook = nbformat.read(repository / "colabs" / "quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    settings = [cell for cell in notebook.cells if "STEPS = " in cell.source]
    assert len(settings) == 1
    settings[0].source = settings[0].source.replace("STEPS = 500", "STEPS = 3")
    assert "STEPS = 3\n" in settings[0].source
    path = str(tmp_path_factory.mktemp("notebook"))
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": path}})
    client.create_kernel_manager()
    client.km.kernel_spec_manager = ThisPython()
    client.execute(env={**os.environ, "PYTHONPATH": str(repository)})
    return [cell.get("outputs", []) for cell in notebook.cells if cell.cell_type == "code"]


def test_every_cell_shows_something(outputs):
    assert all(outputs)
    assert not [o for cell in outputs for o in cell if o.output_type == "error"]


def test_the_cells_show_what_they_say(outputs):
    values = [{k: v for o in cell if "data" in o for k, v in o.data.items()} for cell in outputs]
    assert "exact_match" in values[2]["text/plain"]
    assert values[3]["text/plain"].count("'") == 6  # three answers
    assert "image/png" in values[6]
    assert "feed_forward" in values[7]["text/plain"]

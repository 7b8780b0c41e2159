"""What every test shares: eight virtual CPU devices, and the real data where it is present."""

import importlib.util
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault(
    "JAX_DISABLE_MOST_OPTIMIZATIONS", "1"
)  # the programs run for milliseconds and compile for seconds
os.environ.setdefault("OMP_NUM_THREADS", "1")  # PyTorch's, whose models are tiny too, beside other tests
# One cache of compiled programs for all processes of these tests, the scripts among them: none that others left, but
# that of the folder which T2T_TEST_PROGRAMS names.
if "T2T_TEST_PROGRAMS" not in os.environ:
    programs = tempfile.TemporaryDirectory(prefix="t2t-programs-")  # goes with the process that made it
    os.environ["T2T_TEST_PROGRAMS"] = programs.name
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ["T2T_TEST_PROGRAMS"]
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# Virtual devices wait for each other: on a busy machine XLA would abort the process after 40 seconds.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8 --xla_cpu_collective_call_terminate_timeout_seconds=600"
)

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
PYTORCH = all(importlib.util.find_spec(module) for module in ("torch", "transformers"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that are marked with `pytorch` skip without it, before their fixtures are made."""
    if item.get_closest_marker("pytorch") and not PYTORCH:
        pytest.skip("PyTorch and transformers are not installed (make parity installs them)")


@pytest.fixture(scope="session")
def repository() -> pathlib.Path:
    """The root of the checkout, where `launch/` and `configs/` are."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real data: $T2T_DATA, or `../shared/data` beside the checkout. Tests that need it skip without."""
    folder = pathlib.Path(os.environ.get("T2T_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data is not here: no folder {folder} (set T2T_DATA to where it is)")
    return folder


@pytest.fixture(scope="module", autouse=True)
def programs_of_a_file():
    """Lets go of a file's compiled programs after it: each maps memory, and a process may have only so many maps."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()

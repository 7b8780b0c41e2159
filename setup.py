"""The package: what it needs, and the extras for devices, tests and notebooks."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (HERE / "t2t" / "__init__.py").read_text(encoding="utf-8")).group(1)

setup(
    name="t2t",
    version=VERSION,
    description="The JAX/Flax home for text-to-text transformer research",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["t2t", "t2t.*"]),
    package_data={"t2t": ["**/*.bin", "**/*.txt", "**/*.json", "**/*.b64", "**/*.npz", "py.typed"]},
    install_requires=[
        "absl-py>=2.1,<3",
        "array-record>=0.8,<0.9",
        "flax>=0.12,<0.13",
        "grain>=0.2.16,<0.3",
        "jax>=0.10,<0.13",
        "matplotlib>=3.9,<4",
        "ml-collections>=1.0,<2",
        "ml-dtypes>=0.5,<1",
        "numpy>=2.0,<3",
        "optax>=0.2.6,<0.3",
        "orbax-checkpoint>=0.12,<0.13",
        "pillow>=10,<14",
        "protobuf>=5,<8",  # sentencepiece reads its own models with it
        "rich>=13,<16",
        "rouge-score>=0.1.2,<0.2",
        "sacrebleu>=2.4,<3",
        "safetensors>=0.5,<1",
        "scikit-learn>=1.5,<2",
        "scipy>=1.13,<2",
        "sentencepiece>=0.2,<0.3",
        "sympy>=1.13,<2",
        "tensorboardX>=2.6,<3",
        "tensorflow-datasets>=4.9.9,<5",  # read through tfds.data_source; TensorFlow itself is not needed
        "tokenizers>=0.22,<0.24",
    ],
    extras_require={
        "gpu": ["jax[cuda13]>=0.10,<0.13"],
        "tpu": ["jax[tpu]>=0.10,<0.13"],
        "test": [
            "hypothesis>=6.100,<7",
            "ipykernel>=6,<8",
            "nbclient>=0.10,<0.12",
            "nbformat>=5.10,<6",
            "pytest>=8,<10",
            "pytest-xdist>=3.6,<4",
            "ruff>=0.9,<0.18",
        ],
        "parity": ["torch==2.13.0", "transformers>=5.0,<6"],
        "colab": ["ipywidgets>=8,<9", "jupyter>=1,<2"],
    },
)

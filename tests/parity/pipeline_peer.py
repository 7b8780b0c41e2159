"""What transformers' pipelines give. Run, it writes tests/golden/pipelines: with transformers 5 the folders and the
results of its pipelines; with transformers 4 those of the pipelines that only it has, of the folders that are there.

PYTHONPATH=.:tests/parity python tests/parity/pipeline_peer.py [CASE …]
"""

import json
import pathlib
import sys
import tempfile
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from pipeline_cases import CASES, GOLDEN, tokenizer_of

OLD = int(transformers.__version__.split(".")[0]) < 5


def write(name: str, folder: pathlib.Path) -> None:
    """A folder with a random model that does not give the same whatever it reads."""
    case = CASES[name]
    torch.manual_seed(sum(map(ord, name)))
    made = getattr(transformers, case.class_name)(getattr(transformers, case.config_name)(**case.settings))
    with torch.no_grad():
        for parameter_name, parameter in made.named_parameters():
            noise = torch.randn(parameter.shape)
            norm = parameter.ndim == 1 and parameter_name.endswith("weight")
            head = "classifier" in parameter_name or "qa_outputs" in parameter_name
            scale = 0.3 if parameter.ndim == 1 else 2.0 if head else 0.9
            parameter.copy_(1.0 + 0.3 * noise if norm else scale * noise)
    made.save_pretrained(folder)


def results(name: str, folder: pathlib.Path) -> list[Any]:
    """The results of all calls of a case, by a folder with its tokenizer."""
    case = CASES[name]
    kind = getattr(transformers, case.class_name)
    model = kind.from_pretrained(folder, attn_implementation="eager") if not OLD else kind.from_pretrained(folder)
    parts: dict[str, Any] = {}
    if case.tokenizer:
        parts["tokenizer"] = transformers.AutoTokenizer.from_pretrained(folder)
    if case.task.startswith("image"):
        reader = transformers.ViTImageProcessor if OLD else transformers.ViTImageProcessorPil
        parts["image_processor"] = reader.from_pretrained(folder)
    if OLD and "image_processor" in parts:  # asks for it by its former name too
        parts["feature_extractor"] = parts["image_processor"]
    made = transformers.pipeline(case.task, model=model, **parts)
    found = []
    for given, options in case.calls:
        given = _images(given)
        asked = isinstance(given, dict) and "question" in given
        found.append(made(**given, **options) if asked else made(given, **options))
    return [_trimmed(one) if "answer" in one else one for one in plain(found)]


def _trimmed(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without the white space before it, which some tokenizers count to the first word."""
    text = answer["answer"]
    return {**answer, "start": answer["start"] + len(text) - len(text.lstrip()), "answer": text.lstrip()}


def _images(given: Any) -> Any:
    """Arrays as Pillow's images."""
    if isinstance(given, list):
        return [_images(one) for one in given]
    return Image.fromarray(given) if isinstance(given, np.ndarray) else given


def plain(value: Any) -> Any:
    """The same with Python's numbers, scores of six places."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{float(value):.6g}")
    return int(value) if isinstance(value, np.integer) else value


if __name__ == "__main__":
    for case in sys.argv[1:] or [name for name, case in CASES.items() if case.older == OLD or not OLD]:
        golden = GOLDEN / "pipelines" / case
        if not OLD:
            write(case, golden)
        if CASES[case].older != OLD:
            continue
        with tempfile.TemporaryDirectory() as folder:
            for path in golden.iterdir():
                (pathlib.Path(folder) / path.name).write_bytes(path.read_bytes())
            tokenizer_of(case, pathlib.Path(folder))
            found = results(case, pathlib.Path(folder))
        lines = json.dumps(found, ensure_ascii=False).replace("}, {", "},\n{")
        (golden / "results.json").write_text(lines + "\n", encoding="utf-8")
        print(case, sum(path.stat().st_size for path in golden.iterdir()))

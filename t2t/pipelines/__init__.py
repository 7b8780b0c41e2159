"""Plain inputs into plain results: a text into its class, entities, answers or another text, with a published model.

    qa = pipeline("question-answering", "path/to/folder")
    qa(question="Who?", context="It was Ada.")["answer"]

Results have the form of transformers' pipelines.
"""

import pathlib
import re
from typing import Any

from t2t.errors import ConfigError, unknown
from t2t.pipelines.feature_extraction import FeatureExtraction
from t2t.pipelines.fill_mask import FillMask
from t2t.pipelines.image_classification import ImageClassification
from t2t.pipelines.image_to_text import ImageToText
from t2t.pipelines.pipeline import Pipeline
from t2t.pipelines.question_answering import QuestionAnswering
from t2t.pipelines.text2text import Summarization, Text2TextGeneration, Translation
from t2t.pipelines.text_classification import TextClassification
from t2t.pipelines.text_generation import TextGeneration
from t2t.pipelines.token_classification import TokenClassification
from t2t.pipelines.zero_shot import ZeroShotClassification
from t2t.pretrained import Pretrained, load

__all__ = ["TASKS", "Pipeline", "pipeline"]

TASKS: dict[str, type[Pipeline]] = {
    "feature-extraction": FeatureExtraction,
    "fill-mask": FillMask,
    "image-classification": ImageClassification,
    "image-to-text": ImageToText,
    "question-answering": QuestionAnswering,
    "summarization": Summarization,
    "text-classification": TextClassification,
    "text-generation": TextGeneration,
    "text2text-generation": Text2TextGeneration,
    "token-classification": TokenClassification,
    "translation": Translation,
    "zero-shot-classification": ZeroShotClassification,
}
ALSO = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
TRANSLATION = re.compile(r"translation_\w+_to_\w+")  # its name in a folder's task_specific_params


def pipeline(task: str, model: str | pathlib.Path | Pretrained, **options: Any) -> Pipeline:
    """A model that does a task: called with an input it gives the result, with a list a list.

    Args:
      task: one of `TASKS`; "translation_en_to_de" for what a folder says of a pair of languages.
      model: a folder in Hugging Face's format with its tokenizer, or a model that was loaded.
      **options: batch_size and progress (see `Pipeline`), and the task's own, for all calls.

    Raises:
      ConfigError: an unknown task or option, or a model that gives something else than the task needs.
      DataError: a folder without a tokenizer.
      CheckpointError: a folder that cannot be read.
    """
    name = "translation" if TRANSLATION.fullmatch(task) else ALSO.get(task, task)
    if name not in TASKS:
        raise ConfigError(unknown("task", task, [*TASKS, *ALSO]))
    if not isinstance(model, (str, pathlib.Path, Pretrained)):
        found = type(model).__name__
        raise ConfigError(
            f"model: expected a folder in Hugging Face's format, or what t2t.load made of it, found {found}."
        )
    made = model if isinstance(model, Pretrained) else load(model)
    if not TASKS[name].fits(made):
        raise ConfigError(_unfit(name, made))
    return TASKS[name](task, made, **options)


def _unfit(name: str, model: Pretrained) -> str:
    kind, config = TASKS[name], model.config
    given = " and ".join(f"'{output}'" for output in config.outputs) or "its states alone"
    needed = f" and gives '{kind.output}'" if kind.output else ""
    classes = [c for c, outputs in model.family.classes.items() if kind.output in outputs]
    there = (
        f" (as {', '.join(classes)})" if kind.output and classes and config.architecture in kind.architectures else ""
    )
    reads = "text" if config.side("encoder").patches is None else "images"
    tasks = ", ".join(other for other, of in TASKS.items() if of.fits(model)) or "no task"
    which = "a model" if len(kind.architectures) == 3 else " or ".join(map(_article, kind.architectures))
    return (
        f"{name} needs {which} that reads {kind.reads}{needed}{there}; "
        f"{model.folder} holds {_article(config.architecture)} ({model.family.name}) that reads {reads} and gives "
        f"{given}. It fits {tasks}."
    )


def _article(architecture: str) -> str:
    return f"{'an' if architecture.startswith('e') else 'a'} {architecture}"

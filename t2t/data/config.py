"""What a run reads and how it is laid out in batches."""

import dataclasses
from typing import Literal

from t2t.data.files import FORMATS
from t2t.errors import ConfigError, unknown


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The data of a run: a registered task's (its name is `task` of the run), or files of the user's own (`train`).

    Lengths are numbers of tokens, end of sequence included.
    """

    train: str = ""  # the user's own file, or parallel ones: "train.en,train.de"
    validation: str = ""  # likewise; without it a twentieth of `train` is held out (at most 2,000 examples)
    format: str = "auto"  # of the files: auto (by suffix), tsv, csv, jsonl, text, parallel, conll, squad
    inputs: str = "inputs"  # the column of the inputs; "" for none (language models)
    targets: str = "targets"  # the column of the targets; of one text without columns it stays as it is
    pair: str = (
        ""  # the column of a second text: encoders read it as the second of a pair, other models after the first
    )
    prefix: str = ""  # put before every input, e.g. "translate English to German: "
    metrics: tuple[str, ...] = (
        "exact_match",
    )  # of answers, by name, see t2t.tasks.metrics; of format squad it is squad
    objective: Literal["", "causal_lm", "prefix_lm", "span_corruption", "masked_lm"] = (
        ""  # what plain text (`targets`) is turned into
    )

    data_dir: str | None = None  # where TFDS keeps its prepared datasets
    vocabulary: str = ""  # "bytes", "pixels", a .model, the folder of a saved one, "folder:" and a folder in Hugging
    # Face's format, or one to be trained: "sentencepiece:8000" (so many pieces), "bpe:…", "words:…"; "" for the task's
    # own, and sentencepiece:8000 where it has none

    inputs_length: int = 512
    targets_length: int = 128
    labels: tuple[str, ...] = ()  # of a model that answers with them; (): the task's, or those that its targets hold
    stride: int = 128  # of spans and tags: windows of a long text begin so many tokens one after the other
    too_long: Literal["error", "skip", "trim"] = "trim"  # of longer examples; they are counted and reported whichever
    prefix_attention: bool = True  # decoder-only models: the inputs see each other both ways (prefix LM)
    loss_on_inputs: bool = False  # decoder-only models: learn the inputs too, not the targets alone

    packing: bool = True  # several short examples in a row, apart by segments
    consecutive: bool = False  # each row reads whole documents, in segments of targets_length; for models with a memory
    buckets: tuple[int, ...] = ()  # without packing: pad a batch to the shortest of these lengths that holds it
    shards: int = 1  # independent parts of the stream; with as many as hosts, each host reads only its own
    workers: int = 0  # processes that read and tokenise ahead; 0 for a thread
    prefetch: int = 4  # batches made ahead

    def __post_init__(self):
        if self.format not in FORMATS:
            raise ConfigError(f"format: {unknown('format', self.format, FORMATS)}")
        if self.validation and not self.train:
            raise ConfigError("validation names a file but train names none: give both, or train alone.")
        if self.train and not self.targets:
            raise ConfigError('targets: expected the column of what is to be learned, found "".')
        for name in ("inputs_length", "targets_length", "stride", "shards", "prefetch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, found {getattr(self, name)}.")
        if self.workers < 0:
            raise ConfigError(f"workers: expected 0 or more, found {self.workers}.")
        if self.buckets and self.packing:
            raise ConfigError(
                "packing and buckets are two answers to one question: set packing to False, or buckets to ()."
            )
        if self.consecutive and (self.packing or self.buckets):
            raise ConfigError(
                "consecutive segments are full by themselves, found "
                f"{'packing' if self.packing else f'buckets {self.buckets}'}: set packing to False and buckets to ()."
            )
        if self.buckets and self.shards > 1:
            raise ConfigError(
                f"buckets need one length for the whole batch, found shards {self.shards}: set shards to 1."
            )
        if list(self.buckets) != sorted(set(self.buckets)):
            raise ConfigError(f"buckets: expected increasing lengths, found {self.buckets}.")

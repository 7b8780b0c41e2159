"""What all pipelines share: a model that fits its task, options, and rows that go through the model in batches."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from t2t.attention import BigBird
from t2t.config import build as build_config
from t2t.data.vocabulary import EncodedText, FolderVocabulary, Tokens
from t2t.errors import ConfigError, DataError
from t2t.pipelines.batches import batches, filled, padded, padded_length, shown
from t2t.pretrained import Pretrained

T = TypeVar("T")
ENDLESS = 10**6  # a model_max_length of more says that there is none


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoOptions:
    """A pipeline without options."""


class Pipeline:
    """A model that does one thing: a plain input in, a plain result out; a list in, a list out.

    Args:
      task: its name.
      model: of a folder.
      batch_size: how many rows go through the model at once.
      progress: whether to show a bar; None: on long input, where a person looks.
      **options: fields of the class's `Options`, for all calls; a call may change them.

    Raises:
      ConfigError: a model that gives something else than the task needs, or an unknown option.
      DataError: a folder without a tokenizer.
    """

    Options: ClassVar[type] = NoOptions
    output: ClassVar[str] = ""  # what a model must give; "" for any
    architectures: ClassVar[tuple[str, ...]] = ("encoder", "decoder", "encoder-decoder")
    reads: ClassVar[str] = "text"  # or "images"
    of_tokens: ClassVar[bool] = False  # whether outputs are of tokens, [b n …]

    def __init__(
        self, task: str, model: Pretrained, *, batch_size: int = 8, progress: bool | None = None, **options: Any
    ):
        if batch_size < 1:
            raise ConfigError(f"batch_size: expected at least 1, found {batch_size}.")
        self.task, self.model, self.batch_size, self.progress = task, model, batch_size, progress
        self._defaults = options
        self._options({})
        if self.reads == "text" or self.output == "vocabulary":
            _ = self.vocabulary  # missing files are told now

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """The result of one input, or a list of them for a list.

        Args:
          **options: fields of the class's `Options`, for this call.

        Raises:
          ConfigError: an unknown option.
          DataError: an input that is none, or longer than the model reads.
        """
        many, chosen = isinstance(inputs, (list, tuple)), self._options(options)
        if many and not inputs:
            return []
        found = self.run(list(inputs) if many else [inputs], chosen)
        return found if many else found[0]

    def run(self, inputs: list[Any], options: Any) -> list[Any]:
        """A result for each input."""
        raise TypeError(f"{type(self).__name__} does not run")

    @classmethod
    def fits(cls, model: Pretrained) -> bool:
        """Whether a model gives what the task needs."""
        config = model.config
        reads = "text" if config.side("encoder").patches is None else "images"
        fitting = config.architecture in cls.architectures and reads == cls.reads
        return fitting and (not cls.output or cls.output in config.outputs)

    @property
    def vocabulary(self) -> FolderVocabulary:
        """The tokenizer of the model's folder."""
        return self.model.vocabulary

    @property
    def positions(self) -> int | None:
        """The longest sequence that the model can read; None where nothing limits it."""
        config = self.model.config
        return config.max_length if config.positions in ("learned", "sinusoidal") else None

    @property
    def limit(self) -> int | None:
        """The longest sequence that the model or its tokenizer is meant for."""
        said = self.vocabulary.source.settings.get("model_max_length") or ENDLESS
        return min(filter(None, (self.positions, int(said) if said < ENDLESS else None)), default=None)

    @property
    def pad_id(self) -> int:
        """What fills rows: by the model's own id of padding some of them count their positions."""
        found = (self.model.values.get("pad_token_id"), self.vocabulary.pad_id, 0)
        return next(i for i in found if i is not None)

    def encode(
        self,
        text: str,
        pair: str | None = None,
        *,
        truncation: bool = False,
        vocabulary: FolderVocabulary | None = None,
    ) -> EncodedText:
        """A text, or two, as the model reads them.

        Args:
          truncation: cut what is too long, the longer of two texts first.
          vocabulary: that reads it, where that is not the pipeline's.

        Raises:
          DataError: no text, or one that is longer than the model's positions.
        """
        vocabulary = vocabulary or self.vocabulary
        first = vocabulary.tokens(self.text(text))
        second = None if pair is None else vocabulary.tokens(self.text(pair))
        if truncation and self.limit is not None:
            first, second = cut(first, second, self.limit - vocabulary.frame.added(pair=pair is not None))
        return self.checked(vocabulary.join(first, second))

    def tokens(self, text: Any) -> Tokens:
        """The tokens of a text."""
        return self.vocabulary.tokens(self.text(text))

    def text(self, given: Any) -> str:
        """What is given, if it is a text.

        Raises:
          DataError: it is something else.
        """
        if not isinstance(given, str):
            raise DataError(f"{self.task}: expected a text, found {type(given).__name__} {given!r}.")
        return given

    def checked(self, row: EncodedText) -> EncodedText:
        """The row, if the model has positions for it.

        Raises:
          DataError: it has not.
        """
        if self.positions is not None and len(row) > self.positions:
            can_cut = "truncation" in {field.name for field in dataclasses.fields(self.Options)}
            fix = "give truncation=True, or shorten it" if can_cut else "shorten it"
            raise DataError(
                f"{self.task}: a text has {len(row)} tokens, special ones counted, and the model reads "
                f"{self.positions} at most: {fix}."
            )
        return row

    def forward(self, rows: Sequence[EncodedText], read: Callable[[dict[str, np.ndarray], int], T]) -> list[T]:
        """Runs the model over rows.

        Args:
          read: the outputs of a row by transformers' names, those of tokens without padding, and its number → what is
            kept of it.

        Returns:
          What was read of each row, in their order.
        """
        results: list[Any] = [None] * len(rows)
        left = self.model.family.calls.last_ends_row  # the last place stands for the row
        for length, numbers in self.batches([self.length_of(row) for row in rows]):
            chosen = filled(numbers, self.batch_size)
            given = padded([rows[i] for i in chosen], length, self.pad_id, left=left)
            if self.model.config.architecture != "encoder":
                del given["token_type_ids"]
            found = self.outputs(given)
            for place, i in enumerate(numbers):
                count = len(rows[i])
                real = slice(length - count if left else 0, length if left else count) if self.of_tokens else ...
                results[i] = read({name: value[place][real] for name, value in found.items()}, i)
        return results

    def length_of(self, row: EncodedText) -> int:
        """The length that a row is padded to, where padding may change the states of a text so that it has those that
        it has alone: molecules take in what stands beside them, and BigBird's blocks are those of the whole row."""
        config, n = self.model.config, len(row)
        length = padded_length(n, self.positions)
        if config.molecules is not None:
            return max(n, config.molecules.rate)
        for blocks in config.encoder_mechanisms:
            if isinstance(blocks, BigBird):
                few = n <= blocks.dense_length
                length = min(length, blocks.dense_length) if few else -(-n // blocks.block) * blocks.block
        return length if self.positions is None else max(n, min(length, self.positions))

    def outputs(self, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The model's outputs for a batch of rows, by transformers' names."""
        return {name: np.asarray(value) for name, value in self.model(**given).items() if not isinstance(value, list)}

    def batches(self, lengths: Sequence[int]):
        """(length, the numbers of its rows) for rows of these lengths, with a bar where there are many."""
        found = batches(lengths, self.batch_size)
        return shown(found, [len(rows) for _, rows in found], self.task, self.progress)

    def _options(self, options: dict[str, Any]) -> Any:
        return build_config(self.Options, {**self._defaults, **options}, self.task)


def cut(first: Tokens, second: Tokens | None, room: int) -> tuple[Tokens, Tokens | None]:
    """One text, or two, in `room` tokens; of two the longer one loses its end first."""
    if second is None:
        return first[:room], None
    short, long = sorted((len(first), len(second)))
    short = min(short, room // 2)
    long = min(long, room - short)
    lengths = (short, long) if len(first) <= len(second) else (long, short)
    return first[: lengths[0]], second[: lengths[1]]

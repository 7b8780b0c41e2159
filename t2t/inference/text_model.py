"""A trained model that takes text and gives text."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import linen as nn

from t2t.config import build as build_config
from t2t.data.converters import AskingConverter, Converter, EncoderDecoderConverter
from t2t.data.loader import evaluation_batches
from t2t.errors import DataError
from t2t.inference.config import DecodeConfig
from t2t.inference.consecutive import score_documents
from t2t.inference.layout import buckets_up_to, left_padded, make_converter
from t2t.inference.programs import check_generates, check_logits, decode_batch, score_batch
from t2t.inference.trained import Progress, Trained, fetch
from t2t.models import build as build_model


@dataclasses.dataclass
class TextModel(Trained):
    """A model with its parameters and vocabulary.

    Attributes:
      targets_length: the limit it was trained with; longer targets are cut, and it is said.
      prefix_attention: of decoder-only models: whether prompts see each other both ways.
      continues: of models that go on with texts (`ModelConfig.goes_on`): whether they learned from text without
        inputs. A prompt is then the beginning of a text: no end of sequence after it, read in one direction by a
        decoder, and of a long one the last tokens are kept.
      consecutive: whether it learned from consecutive segments of `targets_length` tokens.
      decode: how to generate when nothing else is said.
    """

    targets_length: int = 128
    prefix_attention: bool = True
    continues: bool = False
    consecutive: bool = False
    decode: DecodeConfig = DecodeConfig()

    @classmethod
    def _known(cls, run: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
        data = run["data"]
        return {
            **super()._known(run, meta),
            "targets_length": data["targets_length"],
            "prefix_attention": data["prefix_attention"],
            "consecutive": data.get("consecutive", False),
            "continues": meta["continues"],
            "decode": build_config(DecodeConfig, run["decode"], "config.decode"),
        }

    @property
    def module(self) -> nn.Module:
        """The model as it scores."""
        return build_model(self.decode.of(self.config))

    def generate(
        self, texts: Sequence[str], *, progress: Progress = lambda done, total: None, **decode: Any
    ) -> list[str]:
        """An answer to each text, in their order.

        Args:
          texts: prompts.
          progress: told how many are done.
          **decode: fields of `DecodeConfig` to change; `beams=4`, `top_p=0.9` or `temperature=0.7` also choose the
          method.
        """
        answers = self.generate_all(texts, progress=progress, **decode)
        return [best[0][0] for best in answers]

    def generate_all(
        self, texts: Sequence[str], *, progress: Progress = lambda done, total: None, **decode: Any
    ) -> list[list[tuple[str, float]]]:
        """All answers to each text with their scores (log-probability, over the length penalty of a beam search), best
        first."""
        if isinstance(texts, str):
            raise DataError("generate takes a list of texts, found one text: put it in brackets.")
        examples = [self._prompt(text) for text in texts]
        return [
            [(self.vocabulary.decode(t), float(s)) for t, s in zip(*found)]
            for found in self.decode_examples(examples, self._decode_config(decode), progress)
        ]

    def decode_examples(
        self, examples: Sequence[Mapping[str, Any]], decode: DecodeConfig, progress: Progress = lambda done, total: None
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Tokens [beams n] and scores [beams] for each tokenised example, whose targets are not read."""
        check_generates(self.config)
        if self._start_id is None and not all(len(e["inputs"]) for e in examples):
            raise DataError("A model without a start_id begins with the text itself: found an empty prompt.")
        model, results = build_model(decode.of(self.config)), [None] * len(examples)
        prompts = [{"inputs": e["inputs"], "targets": np.zeros(0, np.int32)} for e in examples]
        done = 0
        for batch, indices in evaluation_batches(
            prompts,
            self._prompt_converter(),
            batch_size=self._rows(len(prompts)),
            buckets=buckets_up_to(self.inputs_length),
            on_too_long=self._too_long,
        ):
            batch = self._prompts(batch)
            ids = np.zeros(len(next(iter(batch.values()))), np.int32)
            ids[: len(indices)] = indices
            placed = self.place({**batch, "row_ids": ids})
            row_ids = placed.pop("row_ids")
            tokens, scores = fetch(
                decode_batch(self.params, placed, row_ids, model=model, decode=decode, eos_id=self.vocabulary.eos_id)
            )
            for row, i in enumerate(indices):
                results[i] = (tokens[row], scores[row])
            done += len(indices)
            progress(done, len(prompts))
        return results

    def score(self, inputs: Sequence[str], targets: Sequence[str], *, per_token: bool = False) -> list[Any]:
        """The log-likelihood of each target after its input, natural logarithm, its end of sequence counted (but where
        the model continues text).

        Args:
          per_token: give each token's instead of their sum.
        """
        check_logits(self.config)
        if len(inputs) != len(targets):
            raise DataError(
                f"score: expected as many targets as inputs, found {len(inputs)} inputs and {len(targets)} targets."
            )
        examples = [{**self._prompt(i), "targets": self._target(t)} for i, t in zip(inputs, targets)]
        found = [logp for logp, _ in self.score_examples(examples)]
        return found if per_token else [float(logp.sum()) for logp in found]

    def score_examples(self, examples: Sequence[Mapping[str, Any]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Log-probabilities, and whether each is the likeliest token, of the counted targets of tokenised examples."""
        results: list[Any] = [None] * len(examples)
        limits = (self.inputs_length, self.targets_length)
        for batch, indices in evaluation_batches(
            examples,
            self.converter(),
            batch_size=self._rows(len(examples)),
            buckets=sorted({*buckets_up_to(max(limits)), *limits}),
            on_too_long=self._too_long,
        ):
            logp, right = fetch(score_batch(self.params, self.place(batch), model=self.module))
            for row, i in enumerate(indices):
                counted = batch["loss_weights"][row] > 0
                results[i] = (logp[row][counted], right[row][counted])
        return results

    def score_documents(self, documents: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Log-probabilities, and whether each is the likeliest token, of all tokens of documents, each read from its
        beginning to its end with the model's memory; segment by segment."""
        found = score_documents(
            self.params,
            documents,
            model=self.module,
            rows=self._rows(len(documents)),
            length=self.targets_length,
            place=self.place,
        )
        scored = fetch([(logp, right) for logp, right, _ in found])
        return [(logp[counted], right[counted]) for (logp, right), (_, _, counted) in zip(scored, found)]

    def rank(self, inputs: Sequence[str], choices: Sequence[Sequence[str]], *, normalise: bool = False) -> list[int]:
        """For each input the index of the likeliest of its choices (rank classification, Brown et al. 2020, section
        2.4).

        Args:
          normalise: divide log-likelihoods by the number of tokens.
        """
        if len(inputs) != len(choices) or not all(choices):
            raise DataError(
                f"rank: expected choices for each of {len(inputs)} inputs, found {len(choices)} lists with "
                f"{min(map(len, choices), default=0)} choices or more."
            )
        flat = [(i, c) for i, options in zip(inputs, choices) for c in options]
        scores = iter(self.score([i for i, _ in flat], [c for _, c in flat], per_token=True))
        summed = [
            [float(s.mean() if normalise else s.sum()) for s in (next(scores) for _ in options)] for options in choices
        ]
        return [int(np.argmax(s)) for s in summed]

    def converter(self) -> Converter:
        """Examples into batches for this architecture."""
        if self.config.architecture == "encoder" and self.continues:
            return AskingConverter(inputs_length=self.inputs_length, targets_length=self.targets_length)
        return make_converter(self.config, self.inputs_length, self.targets_length, self._prompt_both_ways)

    @property
    def _prompt_both_ways(self) -> bool:
        return self.prefix_attention and not self.continues

    @property
    def _start_id(self) -> int | None:
        """What stands before prompts that are gone on with: nothing before an encoder's."""
        return None if self.config.architecture == "encoder" else self.config.start_id

    def _decode_config(self, changes: Mapping[str, Any]) -> DecodeConfig:
        changes = dict(changes)
        if "method" not in changes:
            if changes.get("beams", 0) > 1:
                changes["method"] = "beam"
            elif {"temperature", "top_k", "top_p"} & set(changes):
                changes["method"] = "sample"
        fields = {f.name: getattr(self.decode, f.name) for f in dataclasses.fields(DecodeConfig)}
        return build_config(DecodeConfig, {**fields, **changes}, "decode")

    def _prompt(self, text: str) -> dict[str, np.ndarray]:
        text = self.prefix + text
        if self.continues:
            ids = self.vocabulary.encode(text)
            if len(ids) > self.inputs_length:
                self._too_long(1)
                ids = ids[-self.inputs_length :]
        else:
            ids = self.vocabulary.sequence(text) if text else []
        return {"inputs": np.asarray(ids, np.int32), "targets": np.zeros(0, np.int32)}

    def _target(self, text: str) -> np.ndarray:
        ids = self.vocabulary.encode(text) if self.continues else self.vocabulary.sequence(text, target=True)
        return np.asarray(ids, np.int32)

    def _prompt_converter(self) -> Converter:
        """Prompts are laid out as by an encoder whatever the model is: one side, no targets."""
        return EncoderDecoderConverter(inputs_length=self.inputs_length, targets_length=1)

    def _prompts(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The features that `decode_batch` reads."""
        inputs, segments = batch["encoder_inputs"], batch["encoder_segments"]
        if self.config.architecture == "encoder-decoder":
            return {"encoder_inputs": inputs, "encoder_segments": segments}
        return left_padded(inputs, segments, both_ways=self._prompt_both_ways, start_id=self._start_id)

    def _too_long(self, count: int) -> None:
        self.report(
            f"{count} examples are longer than {self.inputs_length} (inputs) or {self.targets_length} (targets) "
            "tokens and were cut."
        )

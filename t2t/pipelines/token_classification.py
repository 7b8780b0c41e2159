"""A class for each token of a text: names of people and places, parts of speech."""

import dataclasses
from typing import Any

import numpy as np

from t2t.data.vocabulary import Tokens
from t2t.data.windows import most_context, windows
from t2t.pipelines.entities import Piece, Strategy, entities, words
from t2t.pipelines.labels import names_of, softmax
from t2t.pipelines.pipeline import Pipeline


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenClassificationOptions:
    """How tokens are gathered."""

    aggregation_strategy: Strategy = "none"  # tokens; "simple": entities of tokens; the others: of words, which have
    # the scores of their first token, of their surest, or the average of all
    ignore_labels: tuple[str, ...] = ("O",)
    stride: int | None = None  # of texts that are too long: tokens that two windows share; None: a quarter


class TokenClassification(Pipeline):
    """A text → a list of {"entity", "score", "index", "word", "start", "end"}, or, of a strategy that gathers, of
    {"entity_group", "score", "word", "start", "end"}.

    The characters of the text are text[start:end]. Of a text that is too long for the model every token is judged in
    the window where it has most around it.
    """

    Options = TokenClassificationOptions
    output = "tagging"
    of_tokens = True

    def run(self, inputs: list[str], options: TokenClassificationOptions) -> list[list[dict[str, Any]]]:
        names = names_of(self.model.values, self.model.config.labels)
        texts = [self.tokens(text) for text in inputs]
        parts = [self._windows(tokens, options.stride) for tokens in texts]
        rows = [self.vocabulary.join(tokens[window]) for tokens, found in zip(texts, parts) for window in found]
        inside = [np.array(row.texts) == 0 for row in rows]

        found = self.forward([self.checked(row) for row in rows], lambda found, i: softmax(found["logits"][inside[i]]))
        scores, results = iter(found), []
        for text, tokens, found in zip(inputs, texts, parts):
            of_windows = [next(scores) for _ in found]
            chosen = most_context(found, len(tokens))
            judged = [of_windows[w][i - found[w].start] for i, w in enumerate(chosen)]
            results.append(self._gathered(self._pieces(text, tokens, judged), names, options))
        return results

    def _windows(self, tokens: Tokens, stride: int | None) -> list[slice]:
        if self.limit is None:
            return [slice(0, len(tokens))]
        size = self.limit - self.vocabulary.frame.added(pair=False)
        return windows(len(tokens), size, max(size // 4, 0) if stride is None else stride)

    def _pieces(self, text: str, tokens: Tokens, scores: list[np.ndarray]) -> list[Piece]:
        pieces, before = [], None
        for i, (id_, (start, end)) in enumerate(zip(tokens.ids, tokens.offsets)):
            known = id_ != self.vocabulary.unk_id
            word = tokens.words[i] if tokens.words else None
            begins = word != before if word is not None else start == 0 or " " in text[start - 1 : start + 1]
            token = self.vocabulary.token_of(id_) if known else text[start:end]
            pieces.append(Piece(token, scores[i], start, end, begins or not known))
            before = word
        return pieces

    def _gathered(
        self, pieces: list[Piece], names: list[str], options: TokenClassificationOptions
    ) -> list[dict[str, Any]]:
        strategy, join, ignored = options.aggregation_strategy, self.vocabulary.join_tokens, options.ignore_labels
        if strategy == "none":
            first = [what for what, _ in self.vocabulary.frame.single].index("A")  # special tokens have a number too
            found = [
                {
                    "entity": names[piece.label],
                    "score": float(piece.scores.max()),
                    "index": first + i,
                    "word": piece.token,
                    "start": piece.start,
                    "end": piece.end,
                }
                for i, piece in enumerate(pieces)
            ]
            return [one for one in found if one["entity"] not in ignored]
        if strategy != "simple":
            pieces = words(pieces, strategy, join)
        return [one for one in entities(pieces, names, join) if one["entity_group"] not in ignored]

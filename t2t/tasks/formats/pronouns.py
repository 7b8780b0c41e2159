"""Whom a pronoun means, as text: the Winograd schemas of SuperGLUE, DPR and GLUE's WNLI in one form.

`wsc: … *it* …` → the referent (Raffel et al. 2020, section 2.4). Models train only on examples whose referent is the
right one; a prediction is judged by whether its words are among the candidate's, or the candidate's among its.
"""

import re
from collections.abc import Mapping
from typing import Any

PRONOUNS = ("he", "she", "they", "it", "her", "his", "their", "them", "him")
DETERMINERS = frozenset(
    [
        "a",
        "an",
        "few",
        "her",
        "his",
        "each",
        "every",
        "many",
        "much",
        "my",
        "our",
        "some",
        "that",
        "the",
        "their",
        "these",
        "this",
        "those",
        "which",
        "whose",
        "your",
    ]
)


def wsc(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """SuperGLUE's WSC: the pronoun between asterisks → the candidate, right or not."""
    words, pronoun = example["text"].split(" "), example["span2_text"]
    near = sorted(range(len(words)), key=lambda i: (abs(i - int(example["span2_index"])), i))
    # The index is of white-space words; in a few examples punctuation sticks to the pronoun, or the index is one off.
    at = next((i for i in near if re.fullmatch(rf"{re.escape(pronoun)}\W*", words[i])), None)
    if at is None:
        raise ValueError(f"the pronoun {pronoun!r} is not in {example['text']!r}")
    rest = words[at][len(pronoun) :]
    words[at] = f"*{pronoun}*" + (f" {rest}" if rest else "")
    return {
        **example,
        "inputs": "wsc: " + " ".join(words),
        "targets": example["span1_text"],
        "label": int(example.get("label", 0)),
    }


def wsc_correct(example: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """As `wsc`, without the examples whose candidate is wrong: what models train on."""
    return wsc(example) if int(example.get("label", 0)) == 1 else None


def definite_pronoun(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """The definite pronoun resolution set (Rahman & Ng 2012): the first such pronoun is meant."""
    marked = re.sub(rf" ({re.escape(example['pronoun'])})( |\.|,)", r" *\1*\2", example["sentence"], count=1)
    return {**example, "inputs": f"wsc: {marked}", "targets": example["candidates"][int(example["label"])]}


def wnli(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """GLUE's WNLI turned back into the schema it was made from, for evaluation only.

    Its second sentence is a part of the first with the pronoun replaced by a candidate. The pronoun is the one whose
    neighbours are found in the second sentence best, and the candidate is what stands there between them.
    """
    premise, hypothesis = _words(example["sentence1"]), _words(example["sentence2"])
    best, at, candidate = -1, 0, ""
    for i, word in enumerate(premise):
        if word in PRONOUNS:
            size, found = _replacement(premise[:i], premise[i + 1 :], hypothesis)
            if size > best:
                best, at, candidate = size, i, found
    words = example["sentence1"].split(" ")
    at = [i for i, word in enumerate(words) if _bare(word)][at]
    bare = _bare(words[at])
    words[at] = f"*{bare}* {words[at][len(bare) :]}".rstrip()
    return {
        **example,
        "inputs": "wsc: " + " ".join(words),
        "targets": _as_written(candidate, example["sentence2"]),
        "label": int(example.get("label", 0)),
    }


def _bare(word: str) -> str:
    return re.sub(r"[.,?!]$", "", word)


def _words(sentence: str) -> list[str]:
    return [w for w in map(_bare, sentence.strip().lower().split(" ")) if w]


def _replacement(before: list[str], after: list[str], hypothesis: list[str]) -> tuple[int, str]:
    """How many neighbours of a pronoun are in the hypothesis around one gap, and the words in the gap."""
    best = (0, "")
    for start in range(len(hypothesis)):
        left = 0
        while left < min(start, len(before)) and before[-1 - left] == hypothesis[start - 1 - left]:
            left += 1
        if start and not left:
            continue
        for end in range(start + 1, len(hypothesis) + 1):
            right = 0
            while right < min(len(hypothesis) - end, len(after)) and after[right] == hypothesis[end + right]:
                right += 1
            if end < len(hypothesis) and not right:
                continue
            if left + right > best[0]:
                best = (left + right, " ".join(hypothesis[start:end]))
    return best


def _as_written(candidate: str, hypothesis: str) -> str:
    """The candidate from its last article on, capitalised as in the hypothesis, never possessive."""
    words = candidate.split(" ")
    starts = [words.index(article) for article in ("a", "an", "the") if article in words]
    words = words[max(starts, default=0) :]
    found = re.search(" ".join(rf"{re.escape(w)}(?:\.|,|\?|\!)?" for w in words), hypothesis, re.IGNORECASE)
    text = found[0] if found else " ".join(words)
    return re.sub(r"('s|')$", "", _bare(text))


def referent_found(text: str, example: Mapping[str, Any], is_target: bool) -> int:
    """The postprocessor: of a target the label, of a prediction whether it is the candidate; −1 for an empty one."""
    if is_target:
        return int(example["label"])
    prediction, referent = _content(text), _content(example["targets"])
    if not prediction:
        return -1
    if ("'" in prediction) != ("'" in referent):
        return 0
    said, meant = set(prediction.split(" ")), set(referent.split(" "))
    return int(said <= meant or meant <= said)


def _content(text: str) -> str:
    return " ".join(w for w in text.strip().lower().split(" ") if w not in DETERMINERS)

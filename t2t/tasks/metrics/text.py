"""Metrics over texts: exact match, BLEU and ROUGE, as percentages."""

from collections.abc import Sequence

import numpy as np


def exact_match(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """The share of predictions that are their target, white space at the ends aside."""
    return {"exact_match": 100.0 * float(np.mean([t.strip() == p.strip() for t, p in zip(targets, predictions)]))}


def bleu(targets: Sequence[str | Sequence[str]], predictions: Sequence[str]) -> dict[str, float]:
    """sacreBLEU (Post 2018) as its command line computes it: cased, 13a tokens, exponential smoothing."""
    return {"bleu": _bleu(targets, predictions, "13a")}


def bleu_intl(targets: Sequence[str | Sequence[str]], predictions: Sequence[str]) -> dict[str, float]:
    """sacreBLEU with international tokenisation, T5's choice."""
    return {"bleu": _bleu(targets, predictions, "intl")}


def _bleu(targets: Sequence[str | Sequence[str]], predictions: Sequence[str], tokenize: str) -> float:
    import sacrebleu

    references = [[t] if isinstance(t, str) else list(t) for t in targets]
    most = max(len(r) for r in references)
    transposed = [[r[i] if i < len(r) else None for r in references] for i in range(most)]
    return float(
        sacrebleu.corpus_bleu(
            list(predictions),
            transposed,
            smooth_method="exp",
            force=True,
            lowercase=False,
            tokenize=tokenize,
            use_effective_order=False,
        ).score
    )


def rouge(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """Mean F-measures of ROUGE-1, ROUGE-2 and ROUGE-Lsum (Lin 2004), with T5's sentence breaks: " . " ends a line."""
    from rouge_score.rouge_scorer import RougeScorer

    names = ["rouge1", "rouge2", "rougeLsum"]
    scorer = RougeScorer(names)
    scores = [scorer.score(t.replace(" . ", " .\n"), p.replace(" . ", " .\n")) for t, p in zip(targets, predictions)]
    return {name: 100.0 * float(np.mean([s[name].fmeasure for s in scores])) for name in names}

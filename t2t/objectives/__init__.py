"""What a text is turned into to be learned from, and the losses."""

from t2t.objectives.language_models import causal_lm, prefix_lm
from t2t.objectives.losses import cross_entropy
from t2t.objectives.masked_lm import masked_lm
from t2t.objectives.span_corruption import span_corruption

__all__ = ["causal_lm", "cross_entropy", "masked_lm", "prefix_lm", "span_corruption"]

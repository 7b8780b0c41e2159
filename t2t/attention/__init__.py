"""Who may look at whom, and how it is computed. Imports nothing of the project, so that others can lift it out."""

from t2t.attention.cache import KVCache
from t2t.attention.dense import attend
from t2t.attention.mechanism import Conditions, Mechanism, Parameter, Sizes, Source
from t2t.attention.mechanisms import MECHANISMS, AttentionConfig, Dense
from t2t.attention.named import bidirectional, causal, fixed, global_tokens, local, strided
from t2t.attention.pattern import Pattern

__all__ = [
    "MECHANISMS",
    "AttentionConfig",
    "Conditions",
    "Dense",
    "KVCache",
    "Mechanism",
    "Parameter",
    "Pattern",
    "Sizes",
    "Source",
    "attend",
    "bidirectional",
    "causal",
    "fixed",
    "global_tokens",
    "local",
    "strided",
]

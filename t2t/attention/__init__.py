"""Who may look at whom, and how it is computed. Imports nothing of the project, so that others can lift it out."""

from t2t.attention.dense import attend
from t2t.attention.mechanisms import MECHANISMS, AttentionConfig, Dense, KVCache
from t2t.attention.pattern import Pattern, bidirectional, causal, local

__all__ = ["MECHANISMS", "AttentionConfig", "Dense", "KVCache", "Pattern", "attend", "bidirectional", "causal", "local"]

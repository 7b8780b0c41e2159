"""Who may look at whom, and how it is computed. Imports nothing of the project, so that others can lift it out."""

from t2t.attention.attend import attend
from t2t.attention.block_sparse import BigBird
from t2t.attention.cache import KVCache
from t2t.attention.compressive import Compressive
from t2t.attention.cost import Cost
from t2t.attention.disentangled import Disentangled
from t2t.attention.draw import draw
from t2t.attention.longformer import Longformer
from t2t.attention.low_rank import Linformer
from t2t.attention.mechanism import Conditions, Mechanism, Parameter, Sizes, Source
from t2t.attention.mechanisms import MECHANISMS, AttentionConfig, Dense
from t2t.attention.named import (
    bidirectional,
    big_bird,
    block_table,
    blocks,
    causal,
    dilated,
    first_keys,
    first_queries,
    fixed,
    global_tokens,
    local,
    prefix,
    random_blocks,
    strided,
    summaries,
    where,
)
from t2t.attention.pattern import Pattern
from t2t.attention.random_features import Performer
from t2t.attention.recurrent import TransformerXL
from t2t.attention.sparse import Sparse
from t2t.attention.text import parse
from t2t.attention.transient_global import TransientGlobal
from t2t.attention.xlnet import XLNet

__all__ = [
    "MECHANISMS",
    "AttentionConfig",
    "BigBird",
    "Compressive",
    "Conditions",
    "Cost",
    "Dense",
    "Disentangled",
    "KVCache",
    "Linformer",
    "Longformer",
    "Mechanism",
    "Parameter",
    "Pattern",
    "Performer",
    "Sizes",
    "Source",
    "Sparse",
    "TransformerXL",
    "TransientGlobal",
    "XLNet",
    "attend",
    "bidirectional",
    "big_bird",
    "block_table",
    "blocks",
    "causal",
    "dilated",
    "draw",
    "first_keys",
    "first_queries",
    "fixed",
    "global_tokens",
    "local",
    "parse",
    "prefix",
    "random_blocks",
    "strided",
    "summaries",
    "where",
]

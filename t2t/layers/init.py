"""How parameters begin. One place for the three recipes that the published systems use.

- "t5": every projection normal with standard deviation fan_in^-1/2, the query's divided further by sqrt(head width)
  because T5 does not scale logits; embeddings N(0, 1) (Raffel et al. 2020; Mesh TensorFlow's defaults).
- "xavier": Glorot uniform on the flattened matrix, embeddings N(0, 1/d) (Vaswani et al. 2017, as implemented).
- "normal": N(0, init_std²), projections back into the residual scaled by `residual_init_scale` (Radford et al. 2019).
"""

import math
from typing import Literal

from flax import linen as nn
from jax.nn import initializers

from t2t.layers.config import LayerConfig

Role = Literal["query", "key", "value", "attention_out", "mlp_in", "mlp_out", "logits", "embedding", "relative_bias"]


def initializer(config: LayerConfig, role: Role) -> nn.initializers.Initializer:
    """The initialiser of a parameter by its role in the layer."""
    d, h, k, f = config.width, config.heads, config.head_width, config.mlp_width
    values = h * config.output_width
    if config.init == "t5":
        std = {
            "query": (d * k) ** -0.5,
            "key": d**-0.5,
            "value": d**-0.5,
            "attention_out": values**-0.5,
            "mlp_in": d**-0.5,
            "mlp_out": f**-0.5,
            "logits": d**-0.5,
            "embedding": 1.0,
            "relative_bias": d**-0.5,
        }[role]
        return initializers.normal(std)
    if config.init == "normal":
        back = role in ("attention_out", "mlp_out")
        return initializers.normal(config.init_std * (config.residual_init_scale if back else 1.0))
    if role in ("embedding", "relative_bias"):
        return initializers.normal(d**-0.5)
    in_features, out_features = {
        "value": (d, values),
        "attention_out": (values, d),
        "mlp_in": (d, f),
        "mlp_out": (f, d),
    }.get(role, (d, h * k))
    bound = math.sqrt(6.0 / (in_features + out_features))
    if role == "logits":
        return initializers.glorot_uniform()
    return lambda key, shape, dtype: initializers.uniform(2 * bound)(key, shape, dtype) - bound

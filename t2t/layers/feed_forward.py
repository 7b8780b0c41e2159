"""The position-wise feed-forward network (Vaswani et al. 2017, section 3.3), plain or gated (Shazeer 2020)."""

import jax
from flax import linen as nn

from t2t.layers.activations import ACTIVATIONS
from t2t.layers.config import LayerConfig
from t2t.layers.dropout import Dropout
from t2t.layers.init import initializer
from t2t.layers.projection import Projection


class FeedForward(nn.Module):
    """activation(x W_in) W_out, or (activation(x W_gate) · x W_in) W_out where gated."""

    config: LayerConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [b n d] → [b n d]."""
        config = self.config

        def inward(name):
            return Projection(
                (config.width,),
                (config.mlp_width,),
                ("embed", "mlp"),
                initializer(config, "mlp_in"),
                config.bias,
                config.compute_dtype,
                name=name,
            )(x)

        activation = ACTIVATIONS[config.activation]
        hidden = activation(inward("gate")) * inward("in") if config.gated else activation(inward("in"))
        hidden = Dropout(config.mlp_dropout, config.dropout_over_length)(hidden)
        return Projection(
            (config.mlp_width,),
            (config.width,),
            ("mlp", "embed"),
            initializer(config, "mlp_out"),
            config.bias,
            config.compute_dtype,
            name="out",
        )(hidden)

"""One layer: self-attention, in some decoders cross-attention, and feed-forward, each with its norm and residual."""

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.attention import Conditions, Mechanism, bidirectional, causal
from t2t.attention.once import once
from t2t.errors import DataError
from t2t.layers.attention import Attention
from t2t.layers.config import LayerConfig
from t2t.layers.convolution import Joining
from t2t.layers.dropout import Dropout
from t2t.layers.feed_forward import FeedForward
from t2t.layers.norm import Norm
from t2t.layers.positions import RelativeBias, RelativeBiasTable
from t2t.layers.rotary import Rotation
from t2t.layers.streams import beside


@flax.struct.dataclass
class Surroundings:
    """What all layers of a stack share about the batch; None where it does not apply.

    Attributes:
      segments, positions: int32 [b n] of the stack's own tokens; without positions they are 0, 1, … in the row.
      query_segments: int32 [b n], of the tokens as they look at others, where it is not `segments`: padding that looks
        at a text, and that nothing looks at.
      prefix: int32 [b n], 1 where tokens see each other both ways (prefix LM).
      global_tokens: int32 [b n], 1 where tokens see and are seen by all, for mechanisms that know such tokens.
      bias: added to the logits of self-attention, [1 h n n] or the `RelativeBias` that makes it; where layers have
        their own, it is not here.
      rotation: of queries and keys of self-attention (rotary positions).
      types: int32 [b n], the kinds of tokens, for mechanisms that tell them apart.
      targets: int32 [b p], where the queries of a second stream stand, whose states come after the tokens' (`streams`).
      mask: bool [b n n], or with targets [b n+p n]: who may see whom, beside what else is said.
      encoded: [b m d], what cross-attention looks at.
      encoded_segments: int32 [b m].
      shared: the parameters that all layers of a mechanism share, by name, for each mechanism of self-attention that
        takes turns.
      cross_shared: those of cross-attention.
      joining: what joins the states after the first layer.
    """

    segments: jax.Array | None = None
    positions: jax.Array | None = None
    query_segments: jax.Array | None = None
    prefix: jax.Array | None = None
    global_tokens: jax.Array | None = None
    bias: jax.Array | RelativeBias | None = None
    rotation: Rotation | None = None
    types: jax.Array | None = None
    targets: jax.Array | None = None
    mask: jax.Array | None = None
    encoded: jax.Array | None = None
    encoded_segments: jax.Array | None = None
    shared: tuple[Mapping[str, jax.Array], ...] | None = None
    cross_shared: Mapping[str, jax.Array] | None = None
    joining: Joining | None = None


@flax.struct.dataclass
class LayerCache:
    """What one layer keeps between steps of incremental decoding, or between consecutive segments of training.

    Attributes:
      attention: the state of the self-attention mechanism, which nothing but the mechanism looks into; None for one
        that keeps nothing between segments.
      cross: the projected keys and values [b m h k] of the encoder's output; None before the first step.
    """

    attention: Any
    cross: tuple[jax.Array, jax.Array] | None = None


class Block(nn.Module):
    """Pre-norm: x + f(norm(x)). Post-norm: norm(x + f(x)) (Vaswani et al. 2017).

    Attributes:
      mechanism: of self-attention.
      turn: which of the mechanisms that take turns it is.
      causal: whether self-attention sees only what came before.
      cross: whether there is cross-attention to `surroundings.encoded`.
    """

    config: LayerConfig
    mechanism: Mechanism
    turn: int
    causal: bool
    cross: bool

    @nn.compact
    def __call__(
        self, x: jax.Array, cache: LayerCache | None, surroundings: Surroundings, number: int | jax.Array = 1
    ) -> tuple[jax.Array, LayerCache | None]:
        """x [b n d] and the layer's cache → both after the layer, which is the `number`th of the stack, from 1: after
        that, something may join."""
        config, states = self.config, {}
        divisor = number if config.scale_attention_by_layer else 1

        def self_attention(y, norm):
            around, tokens = surroundings, x.shape[1]
            state = None if cache is None else cache.attention
            # Positions of packed rows restart, but so do their segments: only a state needs explicit positions.
            positions = around.positions if state is not None else None
            if around.targets is not None:
                tokens -= around.targets.shape[1]
                positions = jnp.broadcast_to(jnp.arange(tokens), (len(x), tokens))
            if around.mask is not None and not self.mechanism.takes_masks:
                raise DataError(
                    f"{type(self.mechanism).__name__} takes no mask of pairs, nor a second stream: use Dense()."
                )
            bias = around.bias
            if config.relative_every_layer:
                bias = RelativeBiasTable(config, bidirectional=not self.causal, name="relative_bias")()
                bias = bias.of_row(y.shape[1]) if state is None else bias
            conditions = Conditions(
                pattern=causal() if self.causal else bidirectional(),
                bias=bias,
                query_segments=beside(
                    around.segments if around.query_segments is None else around.query_segments, around.targets
                ),
                key_segments=around.segments,
                query_positions=beside(positions, around.targets),
                key_positions=positions,
                prefix=around.prefix,
                mask=around.mask,
                query_types=beside(around.types, around.targets),
                key_types=around.types,
                global_tokens=around.global_tokens,
            )
            out, states["attention"] = Attention(config, self.mechanism, name="self_attention")(
                y,
                y[:, :tokens],
                conditions,
                rotation=around.rotation,
                divisor=divisor,
                state=state,
                shared=around.shared[self.turn],
                before=x[:, :tokens],
                prepare=norm,
            )
            return out

        def cross_attention(y, norm):
            attention = Attention(config, config.cross_attention, name="cross_attention")
            conditions = Conditions(query_segments=surroundings.segments, key_segments=surroundings.encoded_segments)
            kept = None if cache is None else cache.cross
            states["cross"] = attention.project(surroundings.encoded) if kept is None else kept
            shared = surroundings.cross_shared
            return attention(y, None, conditions, projected=states["cross"], divisor=divisor, shared=shared)[0]

        x = self._residual(x, "self_attention", self_attention)
        if self.cross:
            x = self._residual(x, "cross_attention", cross_attention)
        feed_forward = FeedForward(config, name="feed_forward")
        x = self._residual(x, "feed_forward", lambda y, norm: feed_forward(y))
        if surroundings.joining is not None:
            join = surroundings.joining
            x = join(x) if isinstance(number, int) else jax.lax.cond(number == 1, lambda: join(x), lambda: x)
        self.sow("intermediates", "after", x)
        return x, LayerCache(**states) if cache is not None else None

    def _residual(self, x, name, branch):
        """One branch with its norm, dropout and residual."""
        config = self.config
        norm, dropout = Norm(config, name=f"{name}_norm"), Dropout(config.dropout, config.dropout_over_length)
        if config.norm_place == "pre":
            return x + dropout(once(branch(norm(x), norm)))
        return norm(x + dropout(once(branch(x, None))))

"""Disentangled attention: content and place meet in products of their own (DeBERTa, He et al. 2021, section 3.1).

The logit of a query i and a key j is (q_i·k_j + q_i·(W_K p) + k_j·(W_Q p)) / sqrt(terms · k), where p is the row of a
learned table for the distance i − j. All layers share the table and each projects it anew.
"""

import dataclasses
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from t2t.attention.attend import attend
from t2t.attention.buckets import log_bucket
from t2t.attention.dense import allowed_pairs
from t2t.attention.mechanism import Mechanism, Parameter
from t2t.attention.products import wide_einsum
from t2t.attention.talking_heads import talk

AROUND = (  # what says who may meet
    "pattern", "query_segments", "key_segments", "query_positions", "key_positions", "prefix",
)  # fmt: skip
TILE = 128  # positions; fewer would make products small, more would meet distances that they do not have


@dataclasses.dataclass(frozen=True, kw_only=True)
class Disentangled(Mechanism):
    """DeBERTa's attention of encoders; with buckets, shared projections and a norm DeBERTa-v2's and v3's.

    Distances are counted in slots of a row: padding may stand before a document, not in it.

    Attributes:
      span: distances from −span to span − 1 are told apart, farther ones are as those.
      buckets: of a side; nearer than half of them distances have a row each, farther ones share rows in the manner of
        logarithms, up to `span`. 0 for a row for each distance.
      content_to_position: whether the content of a query meets the place of a key, q_i·(W_K p).
      position_to_content: whether the place of a query meets the content of a key, k_j·(W_Q p).
      shared_projections: whether W_K and W_Q are those of the content (v3), rather than a layer's own.
      position_key_bias: whether W_K, not shared, has a bias (v2), which is the same for all keys.
      table_norm: whether the table goes through a layer norm, with `norm_epsilon`.
      talking_heads: whether heads are mixed before and after the softmax (Shazeer et al. 2020).
      blind: what padding gets, which sees nothing: zeros, or the mean of its row's values, as in the released code. It
        has a part in losses over all positions.
    """

    name: Literal["disentangled"] = "disentangled"
    span: int = 512
    buckets: int = 0
    content_to_position: bool = True
    position_to_content: bool = True
    shared_projections: bool = False
    position_key_bias: bool = False
    table_norm: bool = False
    norm_epsilon: float = 1e-7
    talking_heads: bool = False
    blind: Literal["zeros", "mean"] = "zeros"

    def __post_init__(self):
        if self.span < 1:
            raise ValueError(f"Disentangled.span: expected at least 1, found {self.span}.")
        if self.buckets < 0 or self.buckets == 1 or (self.buckets and self.span <= self.buckets // 2 + 1):
            raise ValueError(
                f"Disentangled.buckets: expected 0 (none), or at least 2 and less than twice the span {self.span}, "
                f"found {self.buckets}."
            )
        if self.terms == 1:
            raise ValueError(
                "Disentangled: expected content_to_position or position_to_content, found neither. Use Dense()."
            )
        if self.position_key_bias and (self.shared_projections or not self.content_to_position):
            raise ValueError(
                "Disentangled.position_key_bias is of a projection that is not there with shared_projections "
                f"{self.shared_projections} and content_to_position {self.content_to_position}: make it False."
            )

    @property
    def terms(self) -> int:
        """How many products make a logit."""
        return 1 + self.content_to_position + self.position_to_content

    @property
    def rows(self) -> int:
        """Of the table."""
        return 2 * (self.buckets or self.span)

    def check(self, *, causal, cross, positions):
        if causal or cross:
            raise ValueError(
                "Disentangled: places are those of the tokens of an encoder, found "
                f"{'cross-attention' if cross else 'causal self-attention'}. Use Dense() with positions "
                "'relative_bias', or TransformerXL, in decoders."
            )
        if positions == "rotary":
            raise ValueError(
                "Disentangled: queries that are turned by their position would meet places that are not, found "
                "positions 'rotary'. Use positions 'none', or 'learned' and 'sinusoidal' which are added to the input."
            )

    def parameters(self, sizes):
        d, h, k = sizes.width, sizes.heads, sizes.head_width
        projection = Parameter((d, h, k), ("embed", "heads", "kv"), std=d**-0.5)
        bias, mixture = Parameter((h, k), ("heads", "kv")), Parameter((h, h), ("heads", None), std=h**-0.5)
        wanted = {"table": Parameter((self.rows, d), (None, "embed"), std=0.02, shared=True)}
        if self.table_norm:
            wanted["table_scale"] = Parameter((d,), ("embed",), mean=1.0, shared=True)
            wanted["table_bias"] = Parameter((d,), ("embed",), shared=True)
        if self.content_to_position and not self.shared_projections:
            wanted["position_key"] = projection
        if self.position_key_bias:
            wanted["position_key_bias"] = bias
        if self.position_to_content and not self.shared_projections:
            wanted |= {"position_query": projection, "position_query_bias": bias}
        if self.talking_heads:
            wanted |= {"mix_logits": mixture, "mix_weights": mixture}
        return wanted

    def flops(self, n, m, sizes, *, causal):
        # A tile of positions meets as many distances more as it is long.
        return sizes.heads * sizes.head_width * (4.0 * n * m + 2.0 * (self.terms - 1) * n * (m + min(n, TILE)))

    def init_state(self, batch, length, sizes, dtype):
        raise ValueError("Disentangled has no incremental decoding: it is for encoders. Use Dense() in decoders.")

    def apply(self, query, key, value, conditions, *, state=None, parameters=None, source=None):
        n, m = query.shape[1], key.shape[1]
        if source is None or n != m:
            raise ValueError(
                "Disentangled: places are projected as the row's own tokens are, found keys without that, as in "
                "cross-attention. Use Dense() there."
            )
        scale = (query.shape[-1] ** -0.5 if conditions.scale is None else conditions.scale) / math.sqrt(self.terms)
        places, which = self._places(n, parameters, source)
        bias = conditions.bias
        if callable(bias):
            bias = bias(jnp.arange(n)[None], jnp.arange(n)[None])
        for own in (
            self._content_to_position(query * jnp.asarray(scale, query.dtype), places, which, parameters, source),
            self._position_to_content(key * jnp.asarray(scale, key.dtype), places, which, parameters, source),
        ):
            if own is not None:
                bias = own if bias is None else bias + own
        conditions = conditions.replace(bias=bias, scale=scale, query_positions=None, key_positions=None)
        out = (self._talk if self.talking_heads else _attend)(query, key, value, conditions, parameters)
        if self.blind == "mean" and conditions.query_segments is not None:
            mean = value.astype(jnp.float32).mean(1, keepdims=True)
            if self.talking_heads:
                mean = mean * parameters["mix_weights"].astype(jnp.float32).sum(0)[:, None]
            out = jnp.where(conditions.query_segments[..., None, None] > 0, out, mean.astype(out.dtype))
        return out, None

    def _talk(self, query, key, value, conditions, parameters):
        given = conditions.keywords()
        around = {name: given.pop(name) for name in list(given) if name in AROUND}
        mixtures = {name: parameters[name] for name in ("mix_logits", "mix_weights")}
        allowed = allowed_pairs(query.shape[1], key.shape[1], **around)
        return talk(query, key, value, **mixtures, allowed=allowed, **given)

    def distances(self, n: int) -> np.ndarray:
        """The row of the table for each distance from n − 1 down to −n, as so many positions have; int [2n]."""
        distance = np.arange(n - 1, -n - 1, -1)
        if self.buckets:
            distance = log_bucket(distance, buckets=self.buckets, max_distance=self.span)
        half = self.rows // 2
        return np.clip(distance + half, 0, 2 * half - 1)

    def _places(self, n, parameters, source):
        """The rows [1 r d] of the table that n positions reach, and which of them each distance has, int [2n]."""
        which = self.distances(n)
        table = parameters["table"][which.min() : which.max() + 1]
        if self.table_norm:
            table = layer_norm(table, parameters["table_scale"], parameters["table_bias"], self.norm_epsilon)
        return source.drop(table[None]), which - which.min()

    def _content_to_position(self, query, places, which, parameters, source):
        if not self.content_to_position:
            return None
        if self.shared_projections:
            place = source.project(places)[0][0]
        else:
            place = jnp.einsum("rd,dhk->rhk", places[0], parameters["position_key"])
            place = place + parameters["position_key_bias"] if self.position_key_bias else place
        return by_distance(query, place, which)

    def _position_to_content(self, key, places, which, parameters, source):
        if not self.position_to_content:
            return None
        if self.shared_projections:
            place = source.project_query(places)[0]
        else:
            place = jnp.einsum("rd,dhk->rhk", places[0], parameters["position_query"])
            place = place + parameters["position_query_bias"]
        # Of a key j the distance to a query i is −(i − j): the other way round, but for the last, which no pair has.
        return jnp.swapaxes(by_distance(key, place, np.append(which[-2::-1], which[-1])), 2, 3)


def _attend(query, key, value, conditions, parameters):
    return attend(query, key, value, **conditions.keywords())


def by_distance(x: jax.Array, places: jax.Array, which: np.ndarray) -> jax.Array:
    """The products of positions with the places at their distances from all others.

    A tile of positions at a time meets the places of the distances that it has, in one matrix product whose rows are
    then shifted (Dai et al. 2019, appendix B): there is no array of n n k.

    Args:
      x: [b n h k].
      places: [r h k].
      which: int [2n], the place of each distance n − 1, …, −n.

    Returns:
      x_i · the place of i − j, float32 [b h n n].
    """
    b, n, h, k = x.shape
    tile = min(n, TILE)
    x = jnp.pad(x, ((0, 0), (0, -n % tile), (0, 0), (0, 0))).reshape(b, -1, tile, h, k)
    first = n - tile * np.arange(1, x.shape[1] + 1)  # of each tile's distances, beyond the farthest in what was padded
    index = np.maximum(first[:, None] + np.arange(tile + n), 0)
    products = wide_einsum("btnhk,tchk->bhtnc", x, places[which[index]])
    # Row i begins tile − 1 − i columns later: in the order of memory that is one slice of rows that are one shorter.
    flat = products.reshape(b, h, -1, tile * (tile + n))[..., tile - 1 : tile - 1 + tile * (tile + n - 1)]
    return flat.reshape(b, h, -1, tile + n - 1)[:, :, :n, :n]


def layer_norm(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> jax.Array:
    """Layer norm of [… d] in float32 (Ba et al. 2016) → the same in the dtype of x."""
    centred = x.astype(jnp.float32) - x.astype(jnp.float32).mean(-1, keepdims=True)
    normed = centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + epsilon)
    return (normed * scale + bias).astype(x.dtype)

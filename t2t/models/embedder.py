"""Tokens into the first states of a stack, and last states into logits."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.errors import DataError
from t2t.layers.activations import ACTIVATIONS
from t2t.layers.adaptive import AdaptiveEmbedding, AdaptiveSoftmax
from t2t.layers.embedding import Embedding
from t2t.layers.hashing import HashedEmbedding
from t2t.layers.init import initializer
from t2t.layers.norm import Norm
from t2t.layers.patches import PatchEmbedding
from t2t.layers.positions import PositionEmbedding
from t2t.layers.projection import Projection
from t2t.layers.streams import beside
from t2t.models.config import ModelConfig


def check_length(config: ModelConfig, length: int) -> None:
    """Refuses sequences that absolute positions do not cover, rather than reading beyond their table."""
    if config.positions in ("learned", "sinusoidal") and length > config.max_length:
        raise DataError(
            f"{config.positions} positions cover max_length {config.max_length}, found a sequence of {length}: "
            "shorten it, or train with a greater model.max_length."
        )


def dense(config: ModelConfig, name: str | None, inward: int, outward: int, bias: bool = True) -> Projection:
    """A projection between widths of a model."""
    init = initializer(config, "logits")
    return Projection((inward,), (outward,), ("embed", None), init, bias, config.compute_dtype, name=name)


Table = Embedding | AdaptiveEmbedding | HashedEmbedding | PatchEmbedding


def token_table(config: ModelConfig) -> Table:
    """What embeds a config's inputs: a row for each token, of one table or of clusters; rows for its hashes; or a
    projection of patches."""
    if config.patches is not None:
        return PatchEmbedding(config, config.patches, config.table_width)
    if config.hashing is not None:
        return HashedEmbedding(config, config.hashing, config.table_width)
    if config.adaptive is not None:
        return AdaptiveEmbedding(config, config.adaptive, config.vocab_size, config.table_width)
    return Embedding(config, config.vocab_size, config.table_width)


class Embedder(nn.Module):
    """What goes into one stack: rows of a token table (perhaps shared with the other stack), scaled, with positions,
    normed."""

    config: ModelConfig

    @nn.compact
    def __call__(
        self,
        table: Table,
        tokens: jax.Array,
        positions: jax.Array | None,
        types: jax.Array | None = None,
        targets: jax.Array | None = None,
    ) -> jax.Array:
        """tokens int [b n], or pixels [b height width c], and where the model has them types int [b n], 0 where not
        given → [b n d]; with targets int [b p], the places of a second stream's queries, [b n+p d]."""
        config, grids = self.config, None
        x = table(tokens)
        if config.patches is not None and config.positions == "learned":
            grids = config.patches.grid, config.patches.cut(tokens.shape[1:3])
        else:
            check_length(config, x.shape[1])
        if config.query_stream:
            init = nn.with_logical_partitioning(initializer(config, "embedding"), ("embed",))
            query = self.param("query", init, x.shape[-1:], jnp.float32)
            if targets is not None:
                x = jnp.concatenate([x, jnp.broadcast_to(query.astype(x.dtype), (*targets.shape, x.shape[-1]))], axis=1)
                places = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape) if positions is None else positions
                positions, types = beside(places, targets), beside(types, targets)
        if config.scale_embeddings:
            x = x * jnp.asarray(math.sqrt(config.width), x.dtype)
        if config.positions in ("learned", "sinusoidal"):
            x = PositionEmbedding(config, config.max_length, name="positions")(x, positions, grids)
        if config.token_types:
            init = nn.with_logical_partitioning(initializer(config, "embedding"), (None, "embed"))
            rows = self.param("types", init, (config.token_types, x.shape[-1]), jnp.float32)
            x = x + (rows[:1] if types is None else jnp.take(rows, types, axis=0)).astype(x.dtype)
        if config.embedding_norm and not config.embedding_norm_last:
            x = Norm(config, name="norm")(x)
        if config.embedding_width is not None and config.adaptive is None:
            bias = config.embedding_projection_bias
            x = dense(config, "projection", config.table_width, config.width, bias=bias)(x)
        if config.embedding_norm and config.embedding_norm_last:
            x = Norm(config, name="norm")(x)
        return x


def logits_of(config: ModelConfig) -> "Logits | AdaptiveSoftmax":
    """From last states to logits: what is called with such a table and states [b n d], and gives float32 [b n v]."""
    if config.adaptive is None:
        return Logits(config)
    return AdaptiveSoftmax(config, config.adaptive, config.vocab_size, config.table_width, config.tie_logits)


def of_vocabulary(
    logits: "Logits | AdaptiveSoftmax",
    table: Embedding | AdaptiveEmbedding,
    states: jax.Array,
    targets: jax.Array | None,
) -> dict[str, Any]:
    """What is read off states about words.

    Returns:
      "vocabulary", logits [b n v]; of words in clusters, where targets int [b n] are given, also "of_targets", the
      log-probability of each and whether it is the likeliest. What is not used is not computed under jit.
    """
    found = {"vocabulary": logits(table, states)}
    if targets is None or not isinstance(logits, AdaptiveSoftmax):
        return found
    return found | {"of_targets": logits.of_targets(table, states, targets)}


class Logits(nn.Module):
    """Last states into float32 logits: through the token table where tied, else through a matrix of their own."""

    config: ModelConfig

    @nn.compact
    def __call__(self, table: Embedding, x: jax.Array) -> jax.Array:
        """x [b n d] → [b n v]."""
        config = self.config
        if config.logits_transform:
            x = ACTIVATIONS[config.logits_transform](dense(config, "transform", config.width, config.table_width)(x))
            x = Norm(config, name="norm")(x)
        if config.scale_logits:
            x = x * jnp.asarray(config.width**-0.5, x.dtype)
        if config.tie_logits:
            logits = table.logits(x)
        else:
            logits = Projection(
                (x.shape[-1],),
                (config.vocab_size,),
                ("embed", "vocab"),
                initializer(config, "logits"),
                False,
                config.compute_dtype,
                name="projection",
            )(x).astype(jnp.float32)
        if config.logits_bias:
            init = nn.with_logical_partitioning(nn.initializers.zeros, ("vocab",))
            logits = _with_bias(logits, self.param("bias", init, (config.vocab_size,), jnp.float32))
        return logits


def _with_bias(logits: jax.Array, bias: jax.Array) -> jax.Array:
    """logits [b n v] + bias [v]. On a CPU in the memory of the logits, which XLA does where it sees them as the matrix
    that the product gave: elsewise it takes as much again, and to get so much new memory is slow there."""

    def in_place(logits, bias):
        return jax.lax.optimization_barrier(logits.reshape(-1, logits.shape[-1]) + bias).reshape(logits.shape)

    return jax.lax.platform_dependent(logits, bias, cpu=in_place, default=jnp.add)

"""Large vocabularies in clusters, from frequent to rare: tables that grow narrower, and a softmax of two steps.

Words are numbered by their frequency, and cut into clusters. Rarer ones get narrower embeddings, each cluster's
projected to the model's width (Baevski & Auli 2019). The softmax is first over the words of the first cluster and the
other clusters, then within the cluster (Grave et al. 2017), so that most words cost as much as a small vocabulary.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.attention.products import wide_einsum
from t2t.layers.config import LayerConfig
from t2t.layers.init import initializer

CHUNK = 512  # tokens whose words of one cluster are scored at once
Cluster = tuple[jax.Array, jax.Array, jax.Array | None]  # table, bias and projection


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adaptive:
    """How a vocabulary is cut into clusters.

    Attributes:
      cutoffs: the first id of every cluster but the first; () for one cluster of all.
      divisor: a cluster's table is so many times narrower than the one before; 1 for one table.
      tied_projections: for each cluster, whether the softmax projects states as the embeddings are projected; () where
        none does.
    """

    cutoffs: tuple[int, ...] = ()
    divisor: int = 1
    tied_projections: tuple[bool, ...] = ()

    def __post_init__(self):
        if any(a >= b for a, b in zip((0, *self.cutoffs), self.cutoffs)):
            raise ValueError(f"cutoffs: expected ids above 0 that increase, found {self.cutoffs}.")
        if self.divisor < 1:
            raise ValueError(f"divisor: expected at least 1, found {self.divisor}.")
        clusters = len(self.cutoffs) + 1
        if self.tied_projections and len(self.tied_projections) != clusters:
            raise ValueError(
                f"tied_projections: expected one for each of {clusters} clusters, found {len(self.tied_projections)}."
            )

    def clusters(self, vocab_size: int) -> list[tuple[int, int]]:
        """The first id of each cluster, and the one after its last."""
        return list(zip((0, *self.cutoffs), (*self.cutoffs, vocab_size)))

    def tables(self, vocab_size: int, width: int) -> list[tuple[int, int]]:
        """Rows and width of each table: one, or one for each cluster."""
        if self.divisor == 1:
            return [(vocab_size, width)]
        return [(end - start, width // self.divisor**i) for i, (start, end) in enumerate(self.clusters(vocab_size))]

    def ties(self, cluster: int) -> bool:
        """Whether the softmax has the embeddings' projection in a cluster."""
        return bool(self.tied_projections) and self.tied_projections[cluster]


class AdaptiveEmbedding(nn.Module):
    """The token table of a vocabulary in clusters.

    Attributes:
      vocab_size: v.
      width: of the first table. With one table of the model's width nothing is projected.
    """

    config: LayerConfig
    adaptive: Adaptive
    vocab_size: int
    width: int

    def setup(self):
        tables = self.adaptive.tables(self.vocab_size, self.width)
        self.tables = [table(self, f"table_{i}", *shape) for i, shape in enumerate(tables)]
        self.projections = (
            [projection(self, f"projection_{i}", width) for i, (_, width) in enumerate(tables)]
            if is_projected(self)
            else []
        )

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """tokens int [b n] → [b n d] in the dtype of the computation."""
        dtype = self.config.compute_dtype
        if self.adaptive.divisor == 1:
            x = jnp.take(self.tables[0], tokens, axis=0).astype(dtype)
            return x @ self.projections[0].T.astype(dtype) if self.projections else x
        found = []
        for i, (start, end) in enumerate(self.adaptive.clusters(self.vocab_size)):
            inside = (tokens >= start) & (tokens < end)
            x = jnp.take(self.tables[i], jnp.where(inside, tokens - start, 0), axis=0).astype(dtype)
            found.append(jnp.where(inside[..., None], x @ self.projections[i].T.astype(dtype), 0))
        return sum(found)


class AdaptiveSoftmax(nn.Module):
    """States into log-probabilities of a vocabulary in clusters.

    Attributes:
      vocab_size, width: as of the embeddings.
      tied: whether words are scored with their embeddings.
    """

    config: LayerConfig
    adaptive: Adaptive
    vocab_size: int
    width: int
    tied: bool

    def setup(self):
        zeros, tables = nn.initializers.zeros, self.adaptive.tables(self.vocab_size, self.width)
        clusters = self.adaptive.clusters(self.vocab_size)
        biases = nn.with_logical_partitioning(zeros, ("vocab",))
        self.biases = [self.param(f"bias_{i}", biases, (rows,), jnp.float32) for i, (rows, _) in enumerate(tables)]
        self.tables = None if self.tied else [table(self, f"table_{i}", *shape) for i, shape in enumerate(tables)]
        widths = [self.width // self.adaptive.divisor**i for i in range(len(clusters))]
        self.projections = [
            projection(self, f"projection_{i}", width) if is_projected(self) and not self.adaptive.ties(i) else None
            for i, width in enumerate(widths)
        ]
        if len(clusters) > 1:
            init = nn.with_logical_partitioning(initializer(self.config, "embedding"), (None, "embed"))
            self.cluster_table = self.param("clusters", init, (len(clusters) - 1, self.width), jnp.float32)
            init = nn.with_logical_partitioning(zeros, (None,))
            self.cluster_bias = self.param("clusters_bias", init, (len(clusters) - 1,), jnp.float32)

    def __call__(self, embedding: AdaptiveEmbedding, x: jax.Array) -> jax.Array:
        """x [b n d] → log-probabilities float32 [b n v]."""
        (head, first), *tail = self._clusters(embedding)
        head = log_probabilities(x, *head)
        found = [head[..., :first]]
        for i, (cluster, _) in enumerate(tail):
            found.append(head[..., first + i, None] + log_probabilities(x, *cluster))
        return jnp.concatenate(found, axis=-1)

    def of_targets(self, embedding: AdaptiveEmbedding, x: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The log-probability of one word at each position, float32 [b n], and whether it is the likeliest, bool [b n].

        Of the clusters after the first only those words are scored that share the target's, for `CHUNK` tokens at a
        time, whose scores the backward pass makes anew. A word counts as the likeliest where it is likelier than all
        that are scored, and than each other cluster as a whole.
        """
        shape, x, targets = targets.shape, x.reshape(-1, x.shape[-1]), targets.reshape(-1)
        (head, first), *tail = self._clusters(embedding)
        head = log_probabilities(x, *head)
        place, start, logp, best = jnp.minimum(targets, first - 1), first, 0.0, True
        for i, (cluster, size) in enumerate(tail):
            inside = (targets >= start) & (targets < start + size)
            place = jnp.where(inside, first + i, place)

            def score(x, ids, cluster=cluster):
                scores = log_probabilities(x, *cluster)
                own = jnp.take_along_axis(scores, ids[:, None], axis=-1)[:, 0]
                return own, (own >= jax.lax.stop_gradient(scores.max(-1))).astype(jnp.float32)

            within, wins = where_counted(score, inside, x, jnp.where(inside, targets - start, 0))
            logp, best, start = logp + within, best & ((wins > 0) | ~inside), start + size
        logp = logp + jnp.take_along_axis(head, place[:, None], axis=-1)[:, 0]
        others = jnp.where(jnp.arange(head.shape[-1]) == place[:, None], -jnp.inf, jax.lax.stop_gradient(head))
        return logp.reshape(shape), (best & (logp >= others.max(-1))).reshape(shape)

    def _clusters(self, embedding: AdaptiveEmbedding) -> list[tuple[Cluster, int]]:
        """Of each cluster what its words are scored with, and how many they are. In the first the other clusters come
        after the words."""
        adaptive, found = self.adaptive, []
        tables = embedding.tables if self.tied else self.tables
        for i, (start, end) in enumerate(adaptive.clusters(self.vocab_size)):
            table = 0 if adaptive.divisor == 1 else i
            rows, bias = tables[table], self.biases[table]
            if adaptive.divisor == 1:
                rows, bias = rows[start:end], bias[start:end]
            if i == 0 and adaptive.cutoffs:
                rows, bias = jnp.concatenate([rows, self.cluster_table]), jnp.concatenate([bias, self.cluster_bias])
            kernel = embedding.projections[table] if is_projected(self) and adaptive.ties(i) else self.projections[i]
            found.append(((rows, bias, kernel), end - start))
        return found


def log_probabilities(x: jax.Array, rows: jax.Array, bias: jax.Array, kernel: jax.Array | None) -> jax.Array:
    """x [… d], a cluster's table [w e], bias [w] and projection [d e], if it has one → float32 [… w]."""
    if kernel is not None:
        x = x @ kernel.astype(x.dtype)
    scores = wide_einsum("...e,we->...w", x, rows.astype(x.dtype))
    return jax.nn.log_softmax(scores + bias)


def is_projected(module: AdaptiveEmbedding | AdaptiveSoftmax) -> bool:
    """Whether there are projections between the tables' widths and the model's."""
    return module.adaptive.divisor > 1 or module.width != module.config.width


def table(module: nn.Module, name: str, rows: int, width: int) -> jax.Array:
    """A table of words, [rows width]."""
    init = nn.with_logical_partitioning(initializer(module.config, "embedding"), ("vocab", "embed"))
    return module.param(name, init, (rows, width), jnp.float32)


def projection(module: nn.Module, name: str, width: int) -> jax.Array:
    """From the model's width to a table's, [d width]."""
    init = nn.with_logical_partitioning(initializer(module.config, "logits"), ("embed", None))
    return module.param(name, init, (module.config.width, width), jnp.float32)


def where_counted(
    score: Callable[[jax.Array, jax.Array], tuple[jax.Array, ...]], counted: jax.Array, x: jax.Array, ids: jax.Array
) -> tuple[jax.Array, ...]:
    """`score` of the tokens that count, `CHUNK` of them at a time; the work is of as many chunks as they fill.

    Args:
      score: x [c d] and ids [c] → arrays float32 [c].
      counted: bool [t].
      x: [t d].
      ids: int [t].

    Returns:
      Arrays float32 [t], 0 where a token does not count.
    """
    t = len(ids)
    size = min(CHUNK, t)
    order = jnp.argsort(~counted, stable=True)
    padded = jnp.pad(order, (0, -t % size))
    chunks = (
        jnp.arange(len(padded) // size) * size,
        x[padded].reshape(-1, size, x.shape[-1]),
        ids[padded].reshape(-1, size),
    )
    total, outs = counted.sum(), jax.eval_shape(score, chunks[1][0], chunks[2][0])

    @partial(jax.checkpoint, prevent_cse=False)  # around the choice: inside, jax 0.10 keeps the tables for each chunk
    def one(chunk):
        start, x, ids = chunk
        return jax.lax.cond(
            start < total,
            score,
            lambda *_: tuple(jnp.zeros(out.shape, out.dtype) for out in outs),
            x,
            ids,
        )

    found = jax.lax.map(one, chunks)
    return tuple(jnp.where(counted, jnp.zeros((t,), out.dtype).at[order].set(out.reshape(-1)[:t]), 0) for out in found)

"""What rows hold, found when the program runs: one document with padding behind it, or several packed ones."""

import flax.struct
import jax
import jax.numpy as jnp


@flax.struct.dataclass
class Documents:
    """Where the documents of packed rows stand, int32 [b d]; those that are not there begin behind the row, empty.

    Attributes:
      query_starts, query_lengths: in a row's n queries.
      key_starts, key_lengths: in its m keys.
      number: int32 [b n], which document each query is of; any, where it is of none.
    """

    query_starts: jax.Array
    query_lengths: jax.Array
    key_starts: jax.Array
    key_lengths: jax.Array
    number: jax.Array

    def scatter(self, x: jax.Array) -> jax.Array:
        """[b h n] → [b·d h n], each document's queries from the first place on."""
        b, h, n = x.shape
        index = jnp.minimum(self.query_starts[:, :, None] + jnp.arange(n), n - 1)  # [b d n]
        return jnp.take_along_axis(x[:, None], index[:, :, None], axis=-1).reshape(-1, h, n)

    def gather(self, x: jax.Array) -> jax.Array:
        """[b·d h n] → [b h n]: the inverse, at queries that are of some document."""
        b, n = self.number.shape
        x = jnp.swapaxes(x.reshape(b, -1, *x.shape[1:]), 1, 2)  # [b h d n]
        place = jnp.arange(n) - jnp.take_along_axis(self.query_starts, self.number, axis=1)
        index = self.number * n + jnp.maximum(place, 0)
        return jnp.take_along_axis(x.reshape(*x.shape[:2], -1), index[:, None], axis=-1)


def documents(
    query_segments: jax.Array, key_segments: jax.Array, most: int, *, aligned: bool
) -> tuple[Documents, jax.Array]:
    """The documents of each row, and whether that is all there is to know of who meets.

    Args:
      query_segments, key_segments: int [b n], [b m].
      most: how many documents a row may hold, d.
      aligned: whether a document must begin at the same place in queries and keys, as it must where distances count.

    Returns:
      The documents, and a boolean: whether each row has at most d, each in one stretch, in queries and keys alike.
    """
    of_query, of_key = _stretches(query_segments, most), _stretches(key_segments, most)
    fits = of_query.fits & of_key.fits & (of_query.segments == of_key.segments).all()
    if aligned:
        fits = fits & (of_query.starts == of_key.starts).all()
    return Documents(of_query.starts, of_query.lengths, of_key.starts, of_key.lengths, of_query.number), fits


def one_document(query_segments: jax.Array, key_segments: jax.Array, *, causal: bool) -> tuple[jax.Array, jax.Array]:
    """How many keys of a row are real, int32 [b], and whether that is all there is to know of who meets.

    Returns:
      The lengths, at least 1, and a boolean: whether each row has one document from its first position on, in queries
      and keys alike, and only padding behind; under `causal`, as many keys as queries or more.
    """
    of_query, of_key = _stretches(query_segments, 1), _stretches(key_segments, 1)
    (queries,), (keys,) = (s.lengths.T for s in (of_query, of_key))
    begins = (of_query.starts[:, 0] == 0) & (of_key.starts[:, 0] == 0) & (of_query.segments == of_key.segments)[:, 0]
    rows = begins & (keys >= queries) if causal else begins
    return jnp.maximum(keys, 1), of_query.fits & of_key.fits & (rows | (queries == 0)).all()


@flax.struct.dataclass
class _Stretches:
    """Of each row's first d runs of one segment: where they start, how long they are and which segment it is (0 where
    there is none), [b d]; the run of each position [b n]; whether there are no others, and no segment has two."""

    starts: jax.Array
    lengths: jax.Array
    segments: jax.Array
    number: jax.Array
    fits: jax.Array


def _stretches(segments: jax.Array, most: int) -> _Stretches:
    segments = segments.astype(jnp.int32)
    n, real = segments.shape[1], segments > 0
    begins = real & (segments != jnp.pad(segments, ((0, 0), (1, 0)))[:, :-1])
    number = jnp.cumsum(begins, axis=1, dtype=jnp.int32) - 1
    inside = real[:, :, None] & (number[:, :, None] == jnp.arange(most))  # [b n d]
    lengths = inside.sum(1, dtype=jnp.int32)
    starts = jnp.where(lengths > 0, jnp.argmax(inside, axis=1).astype(jnp.int32), n)
    which = jnp.where(inside, segments[:, :, None], 0).max(1)
    # Of increasing numbers none comes twice.
    fits = (number[:, -1] < most) & ((which[:, 1:] > which[:, :-1]) | (which[:, 1:] == 0)).all(1)
    return _Stretches(starts, lengths, which, jnp.clip(number, 0, most - 1), fits.all())

"""Packed rows: what they hold is found while a program runs, and moved to rows of its own and back."""

import jax
import jax.numpy as jnp
import numpy as np
from test_fused import MIXED, PACKED, PADDED

from t2t.attention.packing import documents, one_document


def test_what_rows_hold_is_found():
    one = jax.jit(one_document, static_argnames="causal")
    some = jax.jit(documents, static_argnames=("most", "aligned"))
    padded, packed, mixed = (jnp.asarray(rows) for rows in (PADDED, PACKED, MIXED))
    lengths, fits = one(padded, padded, causal=True)
    assert fits
    assert lengths.tolist() == [100, 144]
    for rows in (packed, mixed, padded[:, ::-1]):
        assert not one(rows, rows, causal=True)[1]
    assert not one(padded, 2 * padded, causal=True)[1]
    assert not one(padded, padded.at[0, 90:].set(0), causal=True)[1]  # queries behind what keys there are
    assert one(padded, padded.at[0, 90:].set(0), causal=False)[1]

    found, fits = some(packed, packed, most=4, aligned=True)
    assert fits
    assert found.query_starts.tolist() == [[0, 40, 144, 144], [9, 40, 43, 144]]
    assert found.key_lengths.tolist() == [[40, 99, 0, 0], [31, 3, 101, 0]]
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 144)))
    real = (PACKED > 0)[:, None]
    np.testing.assert_array_equal(np.where(real, found.gather(found.scatter(x)), 0), np.where(real, x, 0))
    assert not some(packed, packed, most=2, aligned=True)[1]
    for rows in (mixed, packed.at[0, 143].set(1)):  # a document in two stretches
        assert not some(rows, rows, most=4, aligned=True)[1]
    shifted = jnp.stack([jnp.roll(packed[0], 1), jnp.roll(packed[1], -1)])
    assert some(packed, shifted, most=4, aligned=False)[1]
    assert not some(packed, shifted, most=4, aligned=True)[1]

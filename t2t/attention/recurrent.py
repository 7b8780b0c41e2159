"""Segment recurrence: a segment also sees what those before it left in a memory (Transformer-XL, Dai et al. 2019).

The memory is a value that goes in and comes out. In training it is hidden states, which the weights of now project
again, so that gradients reach the projections of keys and values (section 3.2). In evaluation and decoding, where
weights stay as they are, it is the projected keys and values: the outputs are the same, and no segment projects again
what came before it.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from t2t.attention.attend import attend
from t2t.attention.mechanism import Conditions, Mechanism, Parameter, Source
from t2t.attention.memories import HiddenMemory, KeyValueMemory
from t2t.attention.named import causal, local
from t2t.attention.pattern import Pattern
from t2t.attention.relative import Part, Relative, attend_parts, encode


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recurrent(Mechanism):
    """What recurrent mechanisms have in common: causal self-attention of segments over a memory and themselves.

    Attributes:
      memory: how many positions are kept from segment to segment; 0 for none, when each segment stands by itself and
        incremental decoding sees all that came before.
      tied: one u and v for all layers, rather than one a layer.
      clamp: distances beyond are encoded as this one; None for as they are.
      relative: whether positions are encoded by distance as in section 3.3.
    """

    memory: int
    tied: bool = False
    clamp: int | None = None
    relative: ClassVar[bool] = True

    def __post_init__(self):
        name = type(self).__name__
        if self.memory < 0:
            raise ValueError(f"{name}.memory: expected 0 (none) or more, found {self.memory}.")
        if self.clamp is not None and self.clamp < 1:
            raise ValueError(f"{name}.clamp: expected at least 1, or None for no clamping, found {self.clamp}.")

    @property
    def remembers(self) -> bool:
        return self.memory > 0

    def check(self, *, causal, cross, positions):
        name = type(self).__name__
        if cross or not causal:
            raise ValueError(
                f"{name}: a memory is of what a decoder has read before, found "
                f"{'cross-attention' if cross else 'an encoder'}. Use it for decoders (decoder_attention), and Dense() "
                "or a sparse pattern here."
            )
        if self.relative and positions != "none":
            raise ValueError(
                f"{name} encodes positions by itself, found positions '{positions}': set positions to 'none'"
                + (", or relative to False." if positions in ("rotary", "relative_bias") else ".")
            )
        if positions in ("learned", "sinusoidal"):
            raise ValueError(
                f"{name}: with positions '{positions}' a token of the memory and one of the segment have the same "
                "position (Dai et al. 2019, section 3.3). Use positions 'none' with relative True, or 'rotary' or "
                "'relative_bias'."
            )

    def parameters(self, sizes):
        if not self.relative:
            return {}
        if sizes.width % 2:
            raise ValueError(f"{type(self).__name__}: the relative encoding needs an even width, found {sizes.width}.")
        d, h, k = sizes.width, sizes.heads, sizes.head_width
        bias = Parameter((h, k), ("heads", "kv"), std=0.02, shared=self.tied)  # the released code's
        return {"distance": Parameter((d, h, k), ("embed", "heads", "kv"), std=d**-0.5), "u": bias, "v": bias}

    @property
    def kept(self) -> int | None:
        """How many positions a memory keeps when more come; None for all."""
        return self.memory

    @property
    def before(self) -> int:
        """How many keys before a segment it sees in training."""
        return self.memory

    def flops(self, n, m, sizes, *, causal):
        # Of a segment of training: relative positions are half as much again, and what came before is projected again.
        inner = sizes.heads * sizes.head_width
        return inner * ((6.0 if self.relative else 4.0) * n * (m + self.before) + 4.0 * sizes.width * self.before)

    def init_state(self, batch, length, sizes, dtype):
        return KeyValueMemory.empty(batch, self.memory or length, sizes, dtype)

    def init_memory(self, batch, sizes, dtype):
        return HiddenMemory.empty(batch, self.memory, sizes, dtype) if self.memory else None

    def apply(self, query, key, value, conditions, *, state=None, parameters=None, source=None):
        self._refuse(conditions)
        conditions = conditions.replace(pattern=self.sees(conditions.pattern))
        if state is None and not self.relative:
            return attend(query, key, value, **conditions.keywords()), None
        own = Part.of(key, value, conditions.key_segments)
        if state is not None:
            self._check_memory(state, query.shape[0])
            state, source = self.begin(state, source)
        parts = [*([] if state is None else state.read(conditions, source)), own]
        relative = None
        if self.relative:
            distances = sum(part.key.shape[-1] for part in parts)
            distances = distances if self.clamp is None else min(distances, self.clamp + 1)
            make = functools.partial(encode, parameters["distance"])
            if isinstance(state, KeyValueMemory):
                state = state.with_table(make, distances)
            table = state.table.value if isinstance(state, KeyValueMemory) else make(distances)
            relative = Relative(parameters["u"], parameters["v"], table)
        out = attend_parts(
            query,
            parts,
            relative=relative,
            pattern=conditions.pattern,
            bias=conditions.bias,
            query_segments=conditions.query_segments,
            scale=conditions.scale,
            dropout_rate=conditions.dropout_rate,
            dropout_key=conditions.dropout_key,
            dropout_over_queries=conditions.dropout_over_queries,
        )
        if isinstance(state, KeyValueMemory):  # written after it has been read, or XLA copies it whole
            out, state = jax.lax.optimization_barrier((out, state))
        return out, None if state is None else self.remember(state, query, parts, conditions, parameters, source)

    def begin(self, state: Any, source: Source | None) -> tuple[Any, Source | None]:
        """The state before a segment, and what the segment's keys and values are made of, as the mechanism wants it."""
        return state, source

    def sees(self, pattern: Pattern) -> Pattern:
        """Who sees whom, of the segment and the memory in one row, where the architecture implies `pattern`."""
        return pattern

    def remember(
        self,
        state: Any,
        query: jax.Array,
        parts: list[Part],
        conditions: Conditions,
        parameters: Mapping[str, jax.Array],
        source: Source,
    ) -> Any:
        """The state after a segment, whose queries have seen `parts`, itself the last of them."""
        return state.write(parts[-1], source)

    def slots(self, state: Any) -> int:
        """How many positions a state of this mechanism has room for; 0 for as many as it was made with."""
        return self.memory

    def _check_memory(self, state: Any, batch: int) -> None:
        """Refuses a memory that was made for another batch, or for another length than this mechanism's."""
        found = state.segments.shape
        expected = batch, self.slots(state) or found[1]
        if found != expected:
            raise ValueError(
                f"{type(self).__name__}: expected a memory of {expected[0]} rows of {expected[1]} positions, found "
                f"{found[0]} of {found[1]}: make it for this batch and this mechanism, with models.init_memory or "
                "models.init_cache."
            )

    def _refuse(self, conditions: Conditions) -> None:
        name = type(self).__name__
        if conditions.pattern != causal():
            raise ValueError(
                f"{name}: a memory is of what a decoder has read before, found pattern {conditions.pattern!r}. Use "
                "Dense() or a sparse pattern."
            )
        if conditions.prefix is not None:
            raise ValueError(
                f"{name}: a prefix that sees itself both ways is not defined for it. Set data.prefix_attention False."
            )
        if self.relative and conditions.bias is not None:
            raise ValueError(f"{name}: a bias beside its own relative encoding. Set positions 'none'.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerXL(Recurrent):
    """Transformer-XL (Dai et al. 2019).

    A document ends where the segment id changes: what comes after sees nothing of it, nor in the memory, so that ids go
    on from segment to segment. Distances are counted in slots of a row: padding may stand before a document, not in it.

    Attributes:
      memory, tied, clamp: see `Recurrent`.
      relative: whether positions are encoded by distance as in section 3.3; the model then has positions "none".
        Without it, rotary positions or a relative bias say how far apart two positions are.
      same_length: every query sees as many keys as the memory is long, itself the last, as the paper evaluates;
        otherwise later queries of a segment see more.
      zeros: whether the memory begins with as many states of zero, which the first document (of id 1) sees, as in
        Hugging Face's models; otherwise it begins empty.
    """

    name: Literal["transformer_xl"] = "transformer_xl"
    relative: bool = True
    same_length: bool = False
    zeros: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.zeros and not (self.memory and self.relative):
            raise ValueError(
                f"TransformerXL.zeros: a memory that begins with zeros needs memory and relative, found memory "
                f"{self.memory} and relative {self.relative}."
            )
        if self.same_length and not self.memory:
            raise ValueError("TransformerXL.same_length: every query sees as many keys as memory, found memory 0.")
        if not self.relative and (self.clamp is not None or self.tied):
            raise ValueError("TransformerXL: clamp and tied are of the relative encoding, found relative False.")

    def init_state(self, batch, length, sizes, dtype):
        state = super().init_state(batch, length, sizes, dtype)
        return state.replace(segments=jnp.ones_like(state.segments)) if self.zeros else state

    def init_memory(self, batch, sizes, dtype):
        memory = super().init_memory(batch, sizes, dtype)
        return memory.replace(segments=jnp.ones_like(memory.segments)) if self.zeros else memory

    def begin(self, state, source):
        source = None if source is None else source.of_layer()
        if self.zeros and isinstance(state, KeyValueMemory) and state.table is None:  # nothing has been read
            state = state.of_zeros(source)
        return state, source

    def sees(self, pattern):
        return pattern & local(self.memory) if self.same_length else pattern

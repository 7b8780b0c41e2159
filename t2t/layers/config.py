"""What one layer of a transformer is: the orthogonal choices that every published system answers in its own way."""

import dataclasses
from typing import Literal

import jax.numpy as jnp

from t2t.attention import AttentionConfig, Dense, Mechanism
from t2t.errors import ConfigError

Activation = Literal["relu", "gelu", "gelu_tanh", "gelu_sigmoid", "silu", "tanh"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerConfig:
    """The choices inside a layer. `models.ModelConfig` adds those around the layers; each field stands alone.

    Widths are numbers of features, rates are probabilities. Impossible pairs are refused on construction.
    """

    width: int  # d: the model's width
    heads: int  # h
    head_width: int | None = None  # k; None means width / heads
    value_width: int | None = None  # of a head's values; None means head_width
    mlp_width: int  # f

    attention: AttentionConfig | tuple[AttentionConfig, ...] = Dense()  # several take turns, layer by layer
    cross_attention: AttentionConfig = Dense()  # from a decoder to its encoder's output
    blind: Literal["zeros", "mean"] = "zeros"  # what a query gets where all it may see is padding: zeros, or their mean
    scale_attention: bool = True  # divide logits by sqrt(k); T5 folds it into the initialisation instead
    scale_attention_by_layer: bool = False  # divide them further by 1 in the first layer, 2 in the second … (Mistral)

    norm: Literal["layer", "rms"] = "layer"
    norm_place: Literal["pre", "post"] = "pre"
    norm_epsilon: float = 1e-6
    bias: bool = True  # in the projections of attention and feed-forward
    attention_bias: tuple[Literal["query", "key", "value", "out"], ...] | None = (
        None  # which projections of attention have one; None: all, or none, as `bias` says
    )

    activation: Activation = "relu"
    gated: bool = False  # feed-forward: activation(x W_gate) * (x W_in) instead of activation(x W_in)

    positions: Literal["relative_bias", "rotary", "learned", "sinusoidal", "none"] = "sinusoidal"
    position_offset: int = 0  # rows in front of the learned table, of positions below 0 (RoBERTa, BART: 2)
    position_grid: tuple[int, ...] = ()  # learned positions are places in a grid of these sides; () for a line
    relative_buckets: int = 32
    relative_max_distance: int = 128
    relative_every_layer: bool = False  # a relative bias for each layer (UMT5), rather than one for the stack
    rotary_base: float = 10_000.0
    rotary_fraction: float = 1.0  # of the head width that turns; GPT-NeoX: 0.25

    convolution: int = 0  # taps of a convolution over what goes into an encoder, joining after layer 0; 0 for none
    convolution_groups: int = 1  # of features that it keeps apart
    convolution_activation: Activation = "tanh"

    dropout: float = 0.0  # on the embeddings and on every residual branch
    attention_dropout: float = 0.0  # on attention weights
    mlp_dropout: float = 0.0  # inside the feed-forward, after the activation
    dropout_over_length: bool = False  # one mask for all positions of a row, as T5 does: cheaper, same strength

    init: Literal["t5", "xavier", "normal"] = "xavier"
    init_std: float = 0.02  # of "normal" (GPT-2, BERT)
    residual_init_scale: float = (
        1.0  # of "normal", on the projections back into the residual; GPT-2: 1 / sqrt(2 layers)
    )

    dtype: Literal["float32", "bfloat16"] = "float32"  # of the computation; parameters are float32 always

    def __post_init__(self):
        for name in ("width", "heads", "mlp_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, found {getattr(self, name)}.")
        if self.head_width is None:
            if self.width % self.heads:
                raise ConfigError(
                    f"width {self.width} is not divisible by heads {self.heads}: "
                    "set head_width, or make width a multiple of heads."
                )
            object.__setattr__(self, "head_width", self.width // self.heads)
        for name in ("head_width", "value_width"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, found {getattr(self, name)}.")
        for name in ("dropout", "attention_dropout", "mlp_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name}: expected a rate in [0, 1), found {getattr(self, name)}.")
        if self.positions == "sinusoidal" and self.width % 2:
            raise ConfigError(f"positions 'sinusoidal' need an even width, found width {self.width}.")
        if self.position_offset and (self.positions != "learned" or self.position_grid or self.position_offset < 0):
            raise ConfigError(
                f"position_offset: expected 0 or more rows of a learned table, found {self.position_offset} with "
                f"positions '{self.positions}' and position_grid {self.position_grid}: make it 0."
            )
        if self.position_grid and (self.positions != "learned" or min(self.position_grid) < 1):
            raise ConfigError(
                f"position_grid: expected sides of at least 1 and positions 'learned', found {self.position_grid} and "
                f"positions '{self.positions}': make it ()."
            )
        if self.convolution < 0 or (self.convolution and not self.convolution % 2):
            raise ConfigError(f"convolution: expected an odd number of taps, or 0 for none, found {self.convolution}.")
        if self.convolution_groups < 1 or self.width % self.convolution_groups:
            raise ConfigError(
                f"convolution_groups: expected a divisor of width {self.width}, found {self.convolution_groups}."
            )
        if self.positions == "relative_bias" and (self.relative_buckets < 4 or self.relative_buckets % 2):
            raise ConfigError(
                f"relative_buckets: expected an even number of at least 4, found {self.relative_buckets}."
            )
        if self.relative_every_layer and self.positions != "relative_bias":
            raise ConfigError(
                f"relative_every_layer is of positions 'relative_bias', found '{self.positions}': make it False."
            )
        if self.positions == "rotary":
            if not 0.0 < self.rotary_fraction <= 1.0:
                raise ConfigError(f"rotary_fraction: expected more than 0 and at most 1, found {self.rotary_fraction}.")
            if self.rotary_width < 2 or self.rotary_width % 2:
                raise ConfigError(
                    f"positions 'rotary' turn pairs of features, found rotary_fraction {self.rotary_fraction} of "
                    f"head_width {self.head_width}, {self.rotary_width} features: make it an even number."
                )
            if self.rotary_base <= 1.0:
                raise ConfigError(f"rotary_base: expected more than 1, found {self.rotary_base}.")

    def has_bias(self, role: Literal["query", "key", "value", "out"]) -> bool:
        """Whether a projection of attention has a bias."""
        return self.bias if self.attention_bias is None else role in self.attention_bias

    @property
    def compute_dtype(self) -> jnp.dtype:
        return jnp.dtype(self.dtype)

    @property
    def output_width(self) -> int:
        """The width of a head's values, and so of what it gives out."""
        return self.head_width if self.value_width is None else self.value_width

    @property
    def mixing_width(self) -> int:
        """The width of a head within its mechanism: the wider of keys and values."""
        return max(self.head_width, self.output_width)

    @property
    def rotary_width(self) -> int:
        """How many features of a head turn with rotary positions."""
        return round(self.rotary_fraction * self.head_width)


def cycle(attention: Mechanism | tuple[Mechanism, ...]) -> tuple[Mechanism, ...]:
    """The mechanisms that take turns: layer i of a stack has the one at i modulo their number."""
    return attention if isinstance(attention, tuple) else (attention,)

"""The whole model as one value: what its layers are (LayerConfig) and what stands around them."""

import dataclasses
import math
from typing import Literal, NamedTuple

from t2t.attention import AttentionConfig, Dense, Mechanism, XLNet
from t2t.errors import ConfigError
from t2t.layers.adaptive import Adaptive
from t2t.layers.config import Activation, LayerConfig, cycle
from t2t.layers.hashing import Hashing
from t2t.layers.molecules import Molecules
from t2t.layers.patches import Patches
from t2t.models.inputs import check_inputs

Output = Literal["vocabulary", "pair", "replaced", "sequence", "choice", "tagging", "spans"]


class Layers(NamedTuple):
    """The layers of a stack.

    Attributes:
      count: how many.
      turns: how many mechanisms take turns.
      sharing: which set of parameters each has; () for each its own.
    """

    count: int
    turns: int = 1
    sharing: tuple[int, ...] = ()

    @property
    def sets(self) -> int:
        """How many sets of parameters they have."""
        return max(self.sharing) + 1 if self.sharing else self.count


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(LayerConfig):
    """Any system of the literature that t2t covers is a value of this class."""

    architecture: Literal["encoder", "decoder", "encoder-decoder"] = "encoder-decoder"
    vocab_size: int = 0  # v: rows of the embedding table, ids 0 … v-1; 0: the vocabulary's own, filled in by a run
    encoder_layers: int = 0
    decoder_layers: int = 0
    decoder_attention: AttentionConfig | tuple[AttentionConfig, ...] | None = (
        None  # of an encoder-decoder's decoder; None: `attention`, as in the encoder
    )
    max_length: int = 512  # longest sequence that learned and sinusoidal positions cover; the others have no limit
    start_id: int | None = 0  # what a decoder reads before its text; None: it begins with the text itself, as GPT-2

    final_norm: bool = True  # after the last layer of each stack; post-norm models have none
    final_dropout: bool = False  # dropout after the final norm, as T5
    scale_embeddings: bool = False  # multiply token embeddings by sqrt(d), as the original Transformer
    embedding_norm: bool = False  # a norm after token and position embeddings, as BERT and BART
    adaptive: Adaptive | None = None  # a vocabulary in clusters: tables that grow narrower, a softmax of two steps
    query_stream: bool = False  # of encoders: queries at given places may be asked, which see and are not seen (XLNet)
    embedding_width: int | None = None  # of all tables of embeddings, then projected to d (ALBERT, ELECTRA); None: d
    embedding_norm_last: bool = False  # the norm comes after that projection, as DeBERTa, not before
    embedding_projection_bias: bool = True
    embedding_mask: bool = False  # what comes into an encoder is 0 on padding, as in DeBERTa's released code
    hashing: Hashing | None = None  # tokens are embedded by their hashes, not each by a row of its own (CANINE)
    patches: Patches | None = None  # of encoders: they read images as patches, not tokens (ViT)
    molecules: Molecules | None = None  # of encoders: all layers but two are over fewer positions (CANINE)
    token_types: int = 0  # of encoders: kinds of token, each with a row that is added to its embedding (BERT: 2)
    share_embeddings: bool = True  # encoder and decoder use one token table
    encoder: "ModelConfig | None" = None  # of an encoder-decoder: an encoder of other choices than the decoder's
    tie_logits: bool = True  # logits = states · token table
    scale_logits: bool = False  # divide states by sqrt(d) before logits, as T5 v1.0
    logits_bias: bool = False
    logits_transform: Literal["", Activation] = (
        ""  # a dense layer with this activation, and a norm, between states and logits, as BERT
    )

    outputs: tuple[Output, ...] = ("vocabulary",)  # read off the states, see `models.heads`; () for states alone
    labels: int = 2  # of "sequence" and "tagging"; 1: a number; 0: the task's, filled in by a run
    labels_bias: bool = True  # in the last projection of all outputs but "vocabulary"
    pooler: Literal["", Activation] = ""  # a dense layer with this activation on the state that stands for the sequence
    pooler_width: int | None = None  # of what it gives; None: width
    pooled: Literal["first", "last"] = "first"  # the token whose state that is: BERT's [CLS], or the last, as GPT

    spans_feed_forward: bool = False  # before "spans", one more feed-forward with its residual and norm (BigBird)

    sharing: tuple[int, ...] = ()  # which set of parameters each layer has, from 0 (ALBERT); () for each its own
    stacking: Literal["unrolled", "scanned"] = "unrolled"
    remat: Literal["none", "dots", "full"] = (
        "none"  # what the backward pass recomputes: nothing, all but matrix products, all
    )

    def __post_init__(self):
        super().__post_init__()
        self._take_encoder()
        need = {
            "encoder": ("encoder_layers",),
            "decoder": ("decoder_layers",),
            "encoder-decoder": ("encoder_layers", "decoder_layers"),
        }[self.architecture]
        for name in ("encoder_layers", "decoder_layers"):
            layers = getattr(self, name)
            if name in need and layers < 1:
                raise ConfigError(f"architecture '{self.architecture}' needs {name} of at least 1, found {layers}.")
            if name not in need and layers:
                raise ConfigError(f"architecture '{self.architecture}' has no {name}, found {layers}: set it to 0.")
        if self.vocab_size < 0:
            raise ConfigError(
                f"vocab_size: expected at least 1, or 0 for the vocabulary's own, found {self.vocab_size}."
            )
        if self.start_id is None and self.architecture == "encoder-decoder":
            raise ConfigError("start_id: an 'encoder-decoder' predicts all of its text: expected an id, found None.")
        if self.start_id is not None and not 0 <= self.start_id < (self.vocab_size or math.inf):
            raise ConfigError(
                f"start_id: expected an id from 0 to vocab_size - 1, found {self.start_id} with vocab_size "
                f"{self.vocab_size}."
            )
        check_inputs(self)
        if self.position_grid and math.prod(self.position_grid) < self.max_length:
            raise ConfigError(
                f"position_grid {self.position_grid} has {math.prod(self.position_grid)} places, fewer than max_length "
                f"{self.max_length}: make its first side longer."
            )
        of_tokens = "vocabulary" in self.outputs
        narrow = self.embedding_width is not None and self.adaptive is None
        if of_tokens and self.tie_logits and narrow and not self.logits_transform:
            raise ConfigError(
                f"embedding_width {self.embedding_width} with tied logits needs a logits_transform from width "
                f"{self.width} to it: set logits_transform, or tie_logits to False."
            )
        if self.token_types and self.architecture != "encoder":
            raise ConfigError(f"token_types are of architecture 'encoder', found '{self.architecture}': make them 0.")
        if self.embedding_mask and self.architecture != "encoder":
            raise ConfigError(f"embedding_mask is of architecture 'encoder', found '{self.architecture}'.")
        if len(set(self.outputs)) < len(self.outputs):
            raise ConfigError(f"outputs: expected each once, found {self.outputs}.")
        if self.labels < 0:
            raise ConfigError(f"labels: expected at least 1, or 0 for the task's own, found {self.labels}.")
        if self.convolution and self.architecture == "decoder":
            raise ConfigError("convolution sees what comes after a token, found architecture 'decoder': make it 0.")
        self._check_adaptive()
        self._check_attention()
        self._check_sharing()
        if self.query_stream and (self.convolution or self.embedding_mask):
            raise ConfigError(
                "query_stream: its queries are in no convolution and under no embedding_mask; unset these."
            )
        if self.query_stream and (self.architecture != "encoder" or self.positions in ("rotary", "relative_bias")):
            raise ConfigError(
                "query_stream is of architecture 'encoder', with positions 'none', 'learned' or 'sinusoidal'; found "
                f"'{self.architecture}' and '{self.positions}': make it False."
            )

    @property
    def goes_on(self) -> bool:
        """Whether texts are gone on with: by a decoder, or an encoder that asks for the next token
        (`t2t.inference.asking`)."""
        asks = self.query_stream and all(isinstance(mechanism, XLNet) for mechanism in self.encoder_mechanisms)
        return self.architecture == "decoder" or asks

    @property
    def gives_number(self) -> bool:
        """Whether the first output is a number, not one of several classes."""
        return self.outputs[:1] == ("sequence",) and self.labels == 1

    @property
    def table_width(self) -> int:
        """The width of the tables of embeddings."""
        return self.width if self.embedding_width is None else self.embedding_width

    @property
    def encoder_mechanisms(self) -> tuple[Mechanism, ...]:
        """The mechanisms that take turns in the encoder's layers."""
        return cycle(self.side("encoder").attention)

    @property
    def decoder_mechanisms(self) -> tuple[Mechanism, ...]:
        """The mechanisms that take turns in the decoder's layers."""
        return cycle(self.attention if self.decoder_attention is None else self.decoder_attention)

    def side(self, name: Literal["encoder", "decoder"]) -> "ModelConfig":
        """The choices of one side: an encoder may have its own."""
        return self if name == "decoder" or self.encoder is None else self.encoder

    @property
    def stacks(self) -> dict[str, Layers]:
        """The layers by the paths of their stacks among the parameters, a side's in the order they are gone through."""
        found = {}
        for name in ("encoder", "decoder"):
            side, layers = self.side(name), getattr(self, f"{name}_layers")
            all_ = Layers(layers, len(getattr(self, f"{name}_mechanisms")), side.sharing)
            if name == "encoder" and side.molecules is not None:
                found |= {"encoder/first": Layers(1), "encoder/deep": all_, "encoder/last": Layers(1)}
            elif layers:
                found[name] = all_
        return found

    def _take_encoder(self) -> None:
        """How layers are laid out and computed is one choice for both sides; how many there are is the encoder's."""
        if self.encoder is None:
            return
        own = self.encoder
        if self.architecture != "encoder-decoder" or own.architecture != "encoder" or own.outputs:
            raise ConfigError(
                f"encoder: expected an 'encoder' with outputs (), of an 'encoder-decoder'; found '{own.architecture}' "
                f"with outputs {own.outputs}, of '{self.architecture}'."
            )
        if self.encoder_layers not in (0, own.encoder_layers):
            raise ConfigError(
                f"encoder_layers {self.encoder_layers} are not those of encoder, {own.encoder_layers}: leave them out."
            )
        own = dataclasses.replace(own, stacking=self.stacking, remat=self.remat, dtype=self.dtype)
        object.__setattr__(self, "encoder", own)
        object.__setattr__(self, "encoder_layers", own.encoder_layers)

    def _own_layers(self, side: Literal["encoder", "decoder"]) -> int:
        """How many layers of a side have the choices of this config."""
        return getattr(self, f"{side}_layers") if self.side(side) is self else 0

    def _check_adaptive(self) -> None:
        if self.adaptive is None:
            return
        cutoffs, clusters = self.adaptive.cutoffs, len(self.adaptive.cutoffs) + 1
        if self.vocab_size and cutoffs and cutoffs[-1] >= self.vocab_size:
            raise ConfigError(f"adaptive.cutoffs {cutoffs} leave no word for the last cluster of {self.vocab_size}.")
        if self.table_width < self.adaptive.divisor ** (clusters - 1):
            raise ConfigError(
                f"adaptive.divisor {self.adaptive.divisor} leaves nothing of width {self.table_width} in {clusters} "
                "clusters: make it less."
            )
        others = {n: getattr(self, n) for n in ("logits_transform", "logits_bias", "scale_logits") if getattr(self, n)}
        if others:
            raise ConfigError(f"adaptive has biases and projections of its own, found {others}: leave these out.")

    def _check_sharing(self) -> None:
        if not self.sharing:
            return
        sets = sorted(set(self.sharing))
        if sets != list(range(len(sets))):
            raise ConfigError(f"sharing: expected sets from 0 on, none left out, found {self.sharing}.")
        if len(sets) > 1 and self.stacking == "scanned":
            raise ConfigError(
                f"stacking 'scanned' goes over layers that share one set of parameters, or none; found sharing "
                f"{self.sharing}: set stacking to 'unrolled'."
            )
        for side, mechanisms in (("encoder", self.encoder_mechanisms), ("decoder", self.decoder_mechanisms)):
            layers, turns = self._own_layers(side), len(mechanisms)
            if layers and layers != len(self.sharing):
                raise ConfigError(
                    f"sharing names the sets of {len(self.sharing)} layers, found {side}_layers {layers}: make them as "
                    "many."
                )
            if layers and len({(set_, i % turns) for i, set_ in enumerate(self.sharing)}) > len(sets):
                raise ConfigError(
                    f"sharing {self.sharing} gives layers of different mechanisms one set of parameters: share among "
                    f"layers whose numbers are equal modulo {turns}."
                )

    def _check_attention(self) -> None:
        """Asks every mechanism whether it can be what it is set to be, naming the field where it cannot."""
        cross = self.architecture == "encoder-decoder"
        if not cross and self.decoder_attention is not None:
            raise ConfigError(
                f"decoder_attention is of an 'encoder-decoder', found architecture '{self.architecture}': "
                "set attention instead."
            )
        if not cross and self.cross_attention != Dense():
            raise ConfigError(
                f"cross_attention is of an 'encoder-decoder', found architecture '{self.architecture}': "
                "leave it as it is."
            )
        of_decoder = "attention" if self.decoder_attention is None else "decoder_attention"
        for stack, field, mechanisms, causal in (
            ("encoder", "attention", self.encoder_mechanisms, False),
            ("decoder", of_decoder, self.decoder_mechanisms, True),
        ):
            layers, turns = self._own_layers(stack), len(mechanisms)
            if turns == 0:
                raise ConfigError(f"{field}: expected a mechanism or several that take turns, found none.")
            if layers % turns:
                raise ConfigError(
                    f"{stack}_layers {layers} is not a multiple of the {turns} mechanisms that take turns in {field}: "
                    f"make it {layers + turns - layers % turns}, or give another number of mechanisms."
                )
            for i, mechanism in enumerate(mechanisms if layers else ()):
                self._check_mechanism(f"{field}[{i}]" if turns > 1 else field, mechanism, causal=causal, cross=False)
        if cross:
            self._check_mechanism("cross_attention", self.cross_attention, causal=False, cross=True)

    def _check_mechanism(self, field: str, mechanism: Mechanism, *, causal: bool, cross: bool) -> None:
        if not isinstance(mechanism, Mechanism):
            raise ConfigError(f"{field}: expected a mechanism such as Dense(), found {mechanism!r}.")
        try:
            mechanism.check(causal=causal, cross=cross, positions=self.positions)
        except ValueError as error:
            raise ConfigError(f"{field}: {error}") from None

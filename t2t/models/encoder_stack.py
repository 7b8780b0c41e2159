"""The layers of an encoder: one stack, or a deep one over molecules between two layers over tokens."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t.attention import Mechanism
from t2t.layers import Stack, Surroundings
from t2t.layers.molecules import Downsampling, Upsampling
from t2t.models.config import ModelConfig


def encoder_stack(config: ModelConfig) -> "Stack | MoleculeStack":
    """The encoder's layers of a config: (x [b n d], surroundings) → (states [b n d], what is kept of the way there)."""
    if config.molecules is not None:
        return MoleculeStack(config)
    return layers_of(config, config.encoder_layers, config.encoder_mechanisms, config.sharing)


def layers_of(
    config: ModelConfig,
    layers: int,
    mechanisms: tuple[Mechanism, ...],
    sharing: tuple[int, ...] = (),
    initial_dropout: bool = True,
) -> Stack:
    """Layers of an encoder that see both ways."""
    return Stack(
        config,
        layers,
        mechanisms,
        causal=False,
        cross=False,
        final_norm=config.final_norm,
        final_dropout=config.final_dropout,
        stacking=config.stacking,
        remat=config.remat,
        sharing=sharing,
        initial_dropout=initial_dropout,
    )


class MoleculeStack(nn.Module):
    """One layer over tokens, all others over molecules, and one over tokens again. Padding is read too, by its
    neighbours in the convolutions, and so it sees what is no padding; a row is one document."""

    config: ModelConfig

    def setup(self):
        config, molecules = self.config, self.config.molecules
        self.first, self.last = (layers_of(config, 1, (mechanism,)) for mechanism in (molecules.first, molecules.last))
        mechanisms = config.encoder_mechanisms
        self.deep = layers_of(config, config.encoder_layers, mechanisms, config.sharing, initial_dropout=False)
        self.join, self.spread = Downsampling(config, molecules), Upsampling(config, molecules)

    def __call__(self, x: jax.Array, surroundings: Surroundings) -> tuple[jax.Array, jax.Array]:
        """x [b n d] → states of tokens [b n d] and of molecules [b n//rate d], of which the first is the first
        token's."""
        segments, of_molecules = surroundings.segments, Surroundings()
        if segments is not None:
            surroundings = surroundings.replace(**_seen_by_padding(segments))
            of_molecules = of_molecules.replace(**_seen_by_padding(self.join.segments(segments)))
        x, _ = self.first(x, surroundings)
        told, _ = self.deep(self.join(x), of_molecules)
        x, _ = self.last(self.spread(x, told), surroundings)
        return x, told


def _seen_by_padding(segments: jax.Array) -> dict[str, jax.Array]:
    return {"segments": (segments > 0).astype(jnp.int32), "query_segments": jnp.ones_like(segments)}

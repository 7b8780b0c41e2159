"""How the tiles of a piece are computed. All kernels have one signature: `forward` and `backward` of `Laid` arrays."""

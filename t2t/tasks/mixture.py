"""Several tasks learned together, in stated proportions."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from t2t.errors import DataError

T5_LIMIT = 2.0**19  # K of T5's multi-task mixtures (Raffel et al. 2020, section 3.5.2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixture:
    """Tasks, or mixtures, and how often each is drawn.

    Attributes:
      name: by which it is registered.
      members: names of tasks or mixtures, or they themselves.
      rates: one for each member (0: evaluated, and not trained on); or "equal"; or "proportional": min(n·scale,
        limit)^(1/temperature), with n its number
        of training examples (Raffel et al. 2020, section 3.5.2: the limit comes after the scale and before the
        temperature).
      limit: K, the most examples that any member counts as having; None for no limit.
      temperature: T; 1 is proportional to the number of examples, and greater is nearer to equal.
      scale: on the number of examples.
    """

    name: str
    members: tuple[Any, ...]
    rates: tuple[float, ...] | str = "proportional"
    limit: float | None = T5_LIMIT
    temperature: float = 1.0
    scale: float = 1.0

    def __post_init__(self):
        if not self.members:
            raise DataError(f"Mixture '{self.name}': expected at least one member, found none.")
        if isinstance(self.rates, str):
            if self.rates not in ("equal", "proportional"):
                raise DataError(
                    f"Mixture '{self.name}', rates: expected 'equal', 'proportional' or numbers, found {self.rates!r}."
                )
        elif len(self.rates) != len(self.members) or min(self.rates) < 0 or not any(self.rates):
            raise DataError(
                f"Mixture '{self.name}': expected {len(self.members)} rates, none below 0 and not all 0, "
                f"found {self.rates}."
            )
        if self.temperature <= 0:
            raise DataError(f"Mixture '{self.name}', temperature: expected more than 0, found {self.temperature}.")

    @property
    def counts_examples(self) -> bool:
        """Whether the shares depend on how many examples members have."""
        return self.rates == "proportional"

    def shares(self, counts: Sequence[float]) -> list[float]:
        """The members' shares, which add up to 1.

        Args:
          counts: of training examples of each member; read only where rates are proportional.
        """
        if self.rates == "equal":
            rates = [1.0] * len(self.members)
        elif self.rates == "proportional":
            capped = (c * self.scale if self.limit is None else min(c * self.scale, self.limit) for c in counts)
            rates = [c ** (1.0 / self.temperature) for c in capped]
        else:
            rates = list(self.rates)
        return [r / sum(rates) for r in rates]

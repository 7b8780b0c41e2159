"""Learning rates against the published formulas, in NumPy."""

import math

import numpy as np
import pytest

from t2t.errors import ConfigError
from t2t.training import ScheduleConfig
from t2t.training.schedules import make_schedule

STEPS, WARMUP, PEAK, FLOOR = 100, 10, 0.3, 0.1


def warm(step):
    return min(1.0, (step + 1) / WARMUP)


FORMULAS = {
    "constant": lambda s: PEAK * warm(s),
    # Vaswani et al., equation 3, whose steps count from 1; their peak is at the end of the warm-up.
    "rsqrt": lambda s: PEAK * math.sqrt(WARMUP) * min((s + 1) ** -0.5, (s + 1) * WARMUP**-1.5),
    "linear": lambda s: PEAK * min(warm(s), 1 - (1 - FLOOR) * max(s - WARMUP, 0) / (STEPS - WARMUP)),
    "cosine": lambda s: (
        PEAK * min(warm(s), FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * max(s - WARMUP, 0) / (STEPS - WARMUP))) / 2)
    ),
    # Raffel et al., section 3.1.2: 1 / sqrt(max(n, k)).
    "t5": lambda s: PEAK / math.sqrt(max(s, WARMUP)),
}


@pytest.mark.parametrize("decay", FORMULAS)
def test_every_step_is_the_formula(decay):
    floor = FLOOR if decay in ("linear", "cosine") else 0.0
    schedule = make_schedule(ScheduleConfig(decay=decay, peak=PEAK, warmup=WARMUP, floor=floor), STEPS)
    found = [float(schedule(s)) for s in range(STEPS)]
    np.testing.assert_allclose(found, [FORMULAS[decay](s) for s in range(STEPS)], rtol=2e-6)


def test_t5_begins_at_a_hundredth():
    schedule = make_schedule(ScheduleConfig(decay="t5", peak=1.0, warmup=10_000), 100_000)
    assert float(schedule(0)) == float(schedule(10_000)) == pytest.approx(0.01)
    assert float(schedule(40_000)) == pytest.approx(0.005)


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_beyond_the_last_step_it_stays_at_the_floor(decay):
    schedule = make_schedule(ScheduleConfig(decay=decay, peak=1.0, warmup=1, floor=0.2), 10)
    assert float(schedule(10)) == float(schedule(500)) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"peak": 0.0}, "peak: expected more than 0"),
        ({"decay": "rsqrt", "warmup": 0}, "warmup: expected at least 1 with decay 'rsqrt', found 0"),
        ({"decay": "linear", "warmup": -1}, "warmup: expected 0 or more"),
        ({"floor": 1.5}, r"floor: expected a share of the peak in \[0, 1\], found 1.5"),
    ],
)
def test_schedules_that_cannot_be(fields, message):
    with pytest.raises(ConfigError, match=message):
        ScheduleConfig(**fields)

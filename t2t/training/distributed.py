"""Several hosts that train as one: the same command runs on each."""

import os
import signal
from typing import Any

import jax

from t2t.errors import ConfigError


def initialise(coordinator: str = "", processes: int = 0, process_id: int = -1) -> None:
    """Joins the hosts together, before anything else touches a device.

    With no arguments it does so by itself on a TPU slice or under Slurm or MPI (where jax knows how), and otherwise
    does nothing: one host.

    Args:
      coordinator: host:port of process 0.
      processes: how many there are.
      process_id: which this is.

    Raises:
      ConfigError: some of the three, but not all.
    """
    given = bool(coordinator), processes > 0, process_id >= 0
    if any(given) and not all(given):
        raise ConfigError(
            "--coordinator=HOST:PORT, --processes=N and --process_id=I go together; found "
            f"coordinator '{coordinator}', processes {processes}, process_id {process_id}."
        )
    if all(given):
        # A dead host is noticed in seconds, not minutes.
        jax.distributed.initialize(
            coordinator, processes, process_id, heartbeat_timeout_seconds=30, shutdown_timeout_seconds=30
        )
    elif os.environ.get("TPU_WORKER_HOSTNAMES", "").count(",") or int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        jax.distributed.initialize()


class Interruption:
    """Notices Ctrl-C and SIGTERM, so that a run can save before it ends. A second Ctrl-C ends it at once.

    On several hosts a SIGTERM to any one of them stops all at the same step (jax's preemption sync point).
    """

    def __init__(self):
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        watched = [signal.SIGINT] if jax.process_count() > 1 else [signal.SIGINT, signal.SIGTERM]
        for number in watched:
            try:
                self._before[number] = signal.signal(number, self._notice)
            except ValueError:  # not in the main thread: the caller's own handlers stay
                break
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _notice(self, number: int, frame: Any) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number

    def noticed(self, step: int) -> int | None:
        """The signal that asks to stop after this step, if any."""
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            if multihost_utils.reached_preemption_sync_point(step):
                self.signal = signal.SIGTERM
        return self.signal


class Interrupted(Exception):
    """A run ended by a signal, after it was saved."""

    def __init__(self, number: int, step: int):
        super().__init__(
            f"stopped by {signal.Signals(number).name} after step {step}, saved; the same command goes on from there"
        )
        self.number, self.step = number, step


def gather_position(position: list[list[int]]) -> list[list[int]]:
    """The position of all shards of the data, from the part of it that each host has read."""
    if jax.process_count() == 1:
        return position
    import numpy as np
    from jax.experimental import multihost_utils

    from t2t.data.loader import merge_positions

    return merge_positions(np.asarray(multihost_utils.process_allgather(np.asarray(position))).tolist())

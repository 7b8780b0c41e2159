"""Worker processes of the pipeline: what must be so before they are started, and what they do when they start."""

import os
import signal
import sys
import threading
import time

WATCH_SECONDS = 1.0  # how soon an orphan is noticed


def die_with_parent(index: int, count: int) -> None:
    """Ends this worker soon after its parent, however that ends; and leaves Ctrl-C to the parent.

    The kernel could do it (prctl's PR_SET_PDEATHSIG), but it means the parent's *thread*: Grain starts workers from
    threads that end when a loader is closed, and a worker that is killed then may hold a lock that closing waits for.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="die_with_parent").start()


def allow_workers() -> None:
    """Lets Grain start workers outside absl scripts too: it reads absl's flags then, which a notebook never parses."""
    flags = sys.modules["absl.flags"].FLAGS  # imported by Grain; nothing of t2t depends on flags
    if not flags.is_parsed():
        flags.mark_as_parsed()

"""Worker processes of the pipeline: what must be so before they are started, and what they do when they start."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(index: int, count: int) -> None:
    """Has the kernel end this worker when its parent ends, however it ends; and leaves Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL("libc.so.6", use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call above
            os._exit(1)


def allow_workers() -> None:
    """Lets Grain start workers outside absl scripts too: it reads absl's flags then, which a notebook never parses."""
    flags = sys.modules["absl.flags"].FLAGS  # imported by Grain; nothing of t2t depends on flags
    if not flags.is_parsed():
        flags.mark_as_parsed()

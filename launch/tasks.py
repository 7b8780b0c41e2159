"""Lists the tasks and mixtures, or shows one: examples at every stage (raw, text, tokens, decoded) and length percentiles.

python launch/tasks.py
python launch/tasks.py --name=scan_simple --count=2
python launch/tasks.py --file=pairs.tsv --vocabulary=bytes
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from absl import flags  # noqa: E402

from launch import script  # noqa: E402

_NAME = flags.DEFINE_string("name", None, "The task or mixture to show; without it, all are listed.")
_FILE = flags.DEFINE_string("file", None, "Show a task made of this file of yours instead.")
_SPLIT = flags.DEFINE_string("split", "train", "The split to show.")
_COUNT = flags.DEFINE_integer("count", 3, "How many examples.")
_VOCABULARY = flags.DEFINE_string("vocabulary", "bytes", "'bytes' or the path of a SentencePiece .model.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps its prepared datasets.")

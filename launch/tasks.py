"""Lists the tasks and mixtures, or shows one: examples at every stage (raw, text, tokens, decoded) and length
percentiles.

python launch/tasks.py
python launch/tasks.py --name=scan_simple --count=2
python launch/tasks.py --file=pairs.tsv --vocabulary=bytes
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from absl import flags

from launch import script

_NAME = flags.DEFINE_string("name", None, "The task or mixture to show; without it, all are listed.")
_FILE = flags.DEFINE_string("file", None, "Show a task made of this file of yours instead.")
_INPUTS = flags.DEFINE_string("inputs", "inputs", "The column of --file that holds the inputs.")
_TARGETS = flags.DEFINE_string("targets", "targets", "The column of --file that holds the targets.")
_SPLIT = flags.DEFINE_string("split", None, "The split to show; train if there is one.")
_COUNT = flags.DEFINE_integer("count", 3, "How many examples.")
_VOCABULARY = flags.DEFINE_string(
    "vocabulary", "bytes", "'bytes', the path of a SentencePiece .model, or 'folder:' and one in Hugging Face's format."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps its prepared datasets.")


def main(argv: list[str]) -> None:
    from t2t import tasks
    from t2t.data import DataConfig
    from t2t.data.vocabulary import from_name
    from t2t.tasks import inspection

    if not _NAME.value and not _FILE.value:
        script.table(
            ("name", "kind", "splits or members", "metrics"), [inspection.row(tasks.get(n)) for n in tasks.names()]
        )
        return
    vocabulary = from_name(_VOCABULARY.value)
    if vocabulary is None:
        from t2t.errors import UserError

        raise UserError("--vocabulary: expected one that exists, 'bytes' or a .model file; to train one, train a run.")
    if _FILE.value:
        shares = [(tasks.from_files(DataConfig(train=_FILE.value, inputs=_INPUTS.value, targets=_TARGETS.value)), 1.0)]
    else:
        shares = tasks.tasks_of(tasks.get(_NAME.value), _DATA_DIR.value)
    for task, share in shares:
        if len(shares) > 1:
            print(f"== {task.name}: {100 * share:.1f} % of {_NAME.value}")
        for line in inspection.describe(
            task, vocabulary, split=_SPLIT.value, count=_COUNT.value, data_dir=_DATA_DIR.value
        ):
            print(line)


if __name__ == "__main__":
    script.run(main)

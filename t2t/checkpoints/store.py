"""The checkpoints of a run: a folder for each step, verified when it is read, with the one before to fall back on.

checkpoints/<step>/params/       the parameters
checkpoints/<step>/optimizer/    everything else that training needs
checkpoints/<step>/meta.json     the step, the data's position, the metrics of the last evaluation
checkpoints/<step>/digests.json  of all these; written last, so a folder without it is not a checkpoint
"""

import errno
import json
import pathlib
import shutil
import threading
from collections.abc import Callable, Mapping
from typing import Any

import jax

from t2t.checkpoints import digests
from t2t.checkpoints.trees import check_same
from t2t.errors import CheckpointError

Report = Callable[[str], None]


class Store:
    """Writes checkpoints while training goes on, keeps the newest and the best, and restores what is whole.

    Args:
      folder: of all checkpoints.
      keep: how many of the newest to keep.
      best: the metric whose best checkpoint is kept too ("" for none); `smaller_is_better` says which way.
      report: is told, in words, what a person should know.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        keep: int = 3,
        best: str = "",
        smaller_is_better: bool = True,
        report: Report = print,
    ):
        import orbax.checkpoint as ocp

        self.folder, self.keep, self.best, self._report = pathlib.Path(folder).absolute(), keep, best, report
        self._sign = 1.0 if smaller_is_better else -1.0
        self._ocp = ocp
        handler = ocp.CompositeCheckpointHandler(
            params=ocp.PyTreeCheckpointHandler(use_compression=False),
            optimizer=ocp.PyTreeCheckpointHandler(use_compression=False),
        )
        self._checkpointer = ocp.AsyncCheckpointer(handler)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def save(self, step: int, params: Any, optimizer: Any, meta: Mapping[str, Any]) -> None:
        """Begins to save; the arrays may be donated as soon as this returns.

        Raises:
          CheckpointError: this save could not begin, or the one before did not end well.
        """
        self.wait()
        folder = self.folder / str(step)
        try:
            if jax.process_index() == 0 and folder.exists():  # left over from a save that did not finish
                shutil.rmtree(folder)
            args = self._ocp.args
            self._checkpointer.save(
                folder, args=args.Composite(params=args.PyTreeSave(params), optimizer=args.PyTreeSave(optimizer))
            )
        except Exception as error:
            self._fail(step, error)
        self._thread = threading.Thread(target=self._finish, args=(step, {**meta, "step": step}), name="t2t-checkpoint")
        self._thread.start()

    def wait(self) -> None:
        """Returns when the save that is under way is finished; raises CheckpointError where it went wrong."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            (step, error), self._error = self._error, None
            self._fail(step, error)

    def close(self) -> None:
        """Waits, and lets go of the store's threads."""
        try:
            self.wait()
        finally:
            self._checkpointer.close()

    def _finish(self, step: int, meta: Mapping[str, Any]) -> None:
        try:
            self._checkpointer.wait_until_finished()
            if jax.process_index() == 0:
                folder = self.folder / str(step)
                digests.write_atomically(folder / "meta.json", json.dumps(meta, indent=1))
                digests.write(folder)
                self._prune()
        except BaseException as error:
            self._error = (step, error)

    def _fail(self, step: int, error: BaseException) -> None:
        shutil.rmtree(self.folder / str(step), ignore_errors=True)
        kept = steps(self.folder)
        last = f"The last good one is step {kept[-1]}" if kept else "There is no earlier one"
        full = (
            getattr(error, "errno", None) == errno.ENOSPC
            or "No space left" in str(error)
            or "RESOURCE_EXHAUSTED" in str(error)
        )
        reason = (
            "the disk is full"
            if full
            else f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        )
        raise CheckpointError(
            f"Saving the checkpoint of step {step} in {self.folder} failed: {reason}. {last}, and it is intact. "
            + (
                "Free some space and run the same command to go on from there."
                if full
                else "Run the same command to go on from there."
            )
        ) from error

    def _prune(self) -> None:
        kept = steps(self.folder)
        best = best_step(self.folder, self.best, self._sign) if self.best else None
        for step in kept[: -self.keep]:
            if step != best:
                # Without its digests it is no checkpoint any more, whatever interrupts the rest.
                (self.folder / str(step) / digests.FILE).unlink()
                shutil.rmtree(self.folder / str(step), ignore_errors=True)

    def restore_newest(self, params: Any, optimizer: Any) -> tuple[Any, Any, dict[str, Any]] | None:
        """The newest checkpoint that is whole, as (params, optimizer, meta); None where there is none at all.

        Args:
          params, optimizer: trees of `jax.ShapeDtypeStruct` with the shardings to restore to.

        Raises:
          CheckpointError: parameters of other names or shapes; or checkpoints, and none of them whole.
        """
        for step in reversed(listed(self.folder)):
            folder = self.folder / str(step)
            problems = digests.verify(folder)
            if not problems:
                return (
                    _restore(folder / "params", params),
                    _restore(folder / "optimizer", optimizer),
                    read_meta(self.folder, step),
                )
            self._report(
                f"The checkpoint of step {step} cannot be used ({'; '.join(problems[:3])}): trying the one before."
            )
        if steps(self.folder):
            raise CheckpointError(
                f"None of the checkpoints in {self.folder} is whole: restore one from a copy, or start "
                "again in another workdir."
            )
        return None


def listed(folder: pathlib.Path) -> list[int]:
    """The steps that have a folder, whole or not, ascending."""
    folder = pathlib.Path(folder)
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit() and p.is_dir()) if folder.is_dir() else []


def steps(folder: pathlib.Path) -> list[int]:
    """The steps whose save was finished, ascending."""
    return [s for s in listed(folder) if (pathlib.Path(folder) / str(s) / digests.FILE).is_file()]


def best_step(folder: pathlib.Path, metric: str, sign: float = 1.0) -> int | None:
    """The step with the smallest `sign`·metric among those that have it."""
    values = {}
    for step in steps(folder):
        metrics = read_meta(folder, step)["metrics"]
        if metric in metrics:
            values[step] = sign * metrics[metric]
    return min(values, key=lambda s: (values[s], -s)) if values else None


def read_config(workdir: pathlib.Path) -> dict[str, Any]:
    """The resolved config of a run, as it was saved.

    Raises:
      CheckpointError: there is no run in the folder, or its config is damaged.
    """
    path = workdir / "config.json"
    if not path.is_file():
        raise CheckpointError(
            f"There is no run in {workdir}: expected config.json there, as launch/train.py writes it, or "
            "as a folder in Hugging Face's format has it."
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise CheckpointError(f"{path} is damaged: restore it, or use another --workdir.") from None


def read_meta(folder: pathlib.Path, step: int) -> dict[str, Any]:
    """What was written beside the arrays of a step."""
    return json.loads((pathlib.Path(folder) / str(step) / "meta.json").read_text(encoding="utf-8"))


def restore_params(
    folder: pathlib.Path, params: Any, *, step: int | None = None, report: Report = print
) -> tuple[Any, int]:
    """The parameters of a run's checkpoint, for inference or to start another run from.

    Args:
      folder: of all checkpoints.
      params: a tree of `jax.ShapeDtypeStruct`, with shardings where they matter.
      step: which; the newest whole one if not given.

    Returns:
      The parameters and their step.

    Raises:
      CheckpointError: no such checkpoint, a damaged one that was asked for by its step, none that is whole, or
        parameters of other names or shapes.
    """
    folder = pathlib.Path(folder).absolute()
    there = listed(folder)
    if not there or (step is not None and step not in there):
        raise CheckpointError(
            f"There is no checkpoint{'' if step is None else f' of step {step}'} in {folder}. "
            f"There are: {', '.join(map(str, there)) or 'none'}."
        )
    for candidate in reversed(there) if step is None else [step]:
        problems = digests.verify(folder / str(candidate))
        if not problems:
            return _restore(folder / str(candidate) / "params", params), candidate
        report(
            f"The checkpoint of step {candidate} cannot be used ({'; '.join(problems[:3])})"
            + (": trying the one before." if step is None else ".")
        )
    raise CheckpointError(
        f"No checkpoint that was asked for in {folder} is whole. There are: {', '.join(map(str, there))}."
    )


def _restore(folder: pathlib.Path, tree: Any) -> Any:
    """The arrays of one item, with the shapes, dtypes and shardings of `tree`."""
    import orbax.checkpoint as ocp

    checkpointer = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
    saved = checkpointer.metadata(folder)
    saved = getattr(getattr(saved, "item_metadata", saved), "tree", saved)
    check_same(saved, tree, what=str(folder))
    args = ocp.args.PyTreeRestore(
        item=tree,
        restore_args=ocp.checkpoint_utils.construct_restore_args(tree),
        partial_restore=True,  # names have been compared: what may be missing is a newer field that is None
    )
    return checkpointer.restore(folder, args=args)

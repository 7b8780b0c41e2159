"""Everything a run needs before its first step: tasks, vocabulary, model, optimizer, mesh, data, and where it
stopped."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2t import tasks as registry
from t2t.checkpoints import Store
from t2t.data import Vocabulary
from t2t.data.consecutive import SegmentConverter
from t2t.data.loader import Layout, Loader, Position
from t2t.data.stream import make_streams
from t2t.errors import ConfigError
from t2t.inference.layout import make_converter
from t2t.inference.trained import check_fingerprint, check_vocabulary
from t2t.models import Cache, abstract_params, build, init_memory, param_count
from t2t.tasks import Task
from t2t.training.beginning import first_params, with_model_of_folder
from t2t.training.config import RunConfig
from t2t.training.labels import labelling, with_labels
from t2t.training.schedules import make_schedule
from t2t.training.sharding import check_batch, make_mesh, memory_shardings, optimizer_shardings, param_shardings
from t2t.training.step import TrainState, make_train_step, new_state
from t2t.training.workdir import check_config, resolve_vocabulary, save_config

NOTHING_YET = {"target_tokens": 0.0, "flops": 0.0, "seconds": 0.0, "skipped": 0}


@dataclasses.dataclass
class Run:
    """A run that is ready to go on from step `first`."""

    config: RunConfig
    workdir: pathlib.Path
    say: Callable[[str], None]
    tasks: list[Task]
    vocabulary: Vocabulary
    mesh: jax.sharding.Mesh
    state: TrainState
    step: Callable[[TrainState, Any], tuple[TrainState, dict]]
    loader: Loader
    store: Store
    first: int
    position: Position
    totals: dict[str, float]
    parameters: int

    @property
    def continues(self) -> bool:
        """Whether a decoder-only model learns from text without inputs, so that a prompt is a text to go on with."""
        objectives = [task.objective for task in self.tasks]
        causal = all(objective is not None and objective.kind == "causal_lm" for objective in objectives)
        return causal and self.config.model.architecture == "decoder"

    @property
    def evaluation_rows(self) -> int:
        """Rows of a batch of evaluation: no fewer than 32, and a multiple of the shares of the mesh."""
        shares = self.mesh.shape["data"] * self.mesh.shape["fsdp"]
        return -(-max(self.config.train.batch_size, 32) // shares) * shares


def set_up(config: RunConfig, workdir: pathlib.Path, say: Callable[[str], None]) -> Run:
    """Makes a run ready; see `loop.train` for the arguments and errors."""
    shares = find_tasks(config)
    tasks = [task for task, _ in shares]
    config = with_model_of_folder(with_labels(config, tasks, workdir))
    check_config(workdir, config)
    mesh = make_mesh(config.train.mesh)
    check_batch(mesh, config.train.batch_size, config.train.microbatches)
    check_objectives(config, tasks)
    vocabulary = resolve_vocabulary(workdir, config, [task for task, share in shares if share], say)
    config = _with_vocabulary(config, vocabulary)
    model, schedule = build(config.model), make_schedule(config.train.schedule, config.train.steps)
    transform = config.train.optimizer.transform(schedule)
    abstract, shardings = abstract_state(config, mesh, transform)
    store = Store(
        workdir / "checkpoints",
        keep=config.train.keep,
        best=config.train.best_metric,
        smaller_is_better=config.train.best_is_smallest,
        report=say,
    )
    restored = store.restore_newest(abstract.params, dataclasses.replace(abstract, params=None))
    if restored is None:
        state, first, position, totals = (
            first_state(config, model, transform, shardings, say),
            0,
            None,
            dict(NOTHING_YET),
        )
    else:
        params, rest, meta = restored
        state = dataclasses.replace(rest, params=params)
        check_fingerprint(vocabulary, workdir, meta)
        first, position, totals = meta["step"], meta["position"], meta["totals"]
        say(f"Going on from the checkpoint of step {first}.")
    if jax.process_index() == 0:
        save_config(workdir, config)
    loader = make_loader(config, shares, vocabulary, position)
    step = jax.jit(
        make_train_step(model, transform, schedule, config.train), donate_argnums=0, out_shardings=(shardings, None)
    )
    parameters = param_count(config.model)
    shape = " × ".join(f"{name} {size}" for name, size in mesh.shape.items())
    say(
        f"{parameters:,} parameters · vocabulary of {vocabulary.size:,} · mesh {shape} · batches of "
        f"{config.train.batch_size} rows"
        + (f" in {config.train.microbatches} parts" if config.train.microbatches > 1 else "")
        + f" · {', '.join(f'{t.name} {100 * s:.0f} %' for t, s in shares)}"
    )
    return Run(
        config,
        workdir,
        say,
        tasks,
        vocabulary,
        mesh,
        state,
        step,
        loader,
        store,
        first,
        position if position is not None else [[0, 0]] * config.data.shards,
        totals,
        parameters,
    )


def find_tasks(config: RunConfig) -> list[tuple[Task, float]]:
    """The tasks of a run with their shares: of a registered task or mixture, or of the user's own files."""
    if config.data.train:
        return [(registry.from_files(config.data), 1.0)]
    return registry.tasks_of(registry.get(config.task), config.data.data_dir)


def check_objectives(config: RunConfig, tasks: list[Task]) -> None:
    """Raises ConfigError where the model's architecture cannot learn what a task gives."""
    encoder, labelled = config.model.architecture == "encoder", labelling(config) is not None
    if labelled and not encoder and config.model.outputs[0] == "sequence" and config.model.pooled == "first":
        raise ConfigError(
            "model.pooled 'first': the first token of a decoder sees nothing of what follows it: set model.pooled to "
            "'last'."
        )
    for task in tasks:
        kind = task.objective.kind if task.objective else None
        if labelled and kind:
            raise ConfigError(
                f"Task '{task.name}' has the objective '{kind}', which is of text, found model.outputs "
                f"{config.model.outputs}: set data.objective to '', or model.outputs to ('vocabulary',)."
            )
        if labelled:
            continue
        if encoder != (kind == "masked_lm"):
            raise ConfigError(
                f"Task '{task.name}' has "
                + (f"the objective '{kind}'" if kind else "inputs and targets of their own lengths")
                + f", found model.architecture '{config.model.architecture}': "
                + (
                    "set data.objective to 'masked_lm' on plain text, or model.outputs to ('sequence',), ('tagging',) "
                    "or ('spans',)."
                    if encoder
                    else "masked_lm is for an 'encoder'."
                )
            )


def _with_vocabulary(config: RunConfig, vocabulary: Vocabulary) -> RunConfig:
    """The config with the model's vocabulary size filled in: the vocabulary's, up to the next multiple of 128."""
    if not config.model.vocab_size:
        size = -(-vocabulary.size // 128) * 128
        config = dataclasses.replace(config, model=dataclasses.replace(config.model, vocab_size=size))
    check_vocabulary(config.model, vocabulary, "the run")
    return config


def abstract_state(config: RunConfig, mesh: jax.sharding.Mesh, transform: Any) -> tuple[TrainState, TrainState]:
    """The shapes of the state, with their shardings; and the shardings alone."""
    boxed = abstract_params(config.model)
    params, of_params = nn.meta.unbox(boxed), param_shardings(mesh, boxed)
    state = jax.eval_shape(lambda p: new_state(p, transform, first_memory(config)), params)
    replicated = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    shardings = jax.tree.map(lambda _: replicated, state)
    shardings = dataclasses.replace(
        shardings,
        params=of_params,
        optimizer=optimizer_shardings(mesh, state.optimizer, params, of_params),
        memory=None if state.memory is None else memory_shardings(mesh, state.memory),
    )
    state = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, shardings)
    return state, shardings


def first_state(
    config: RunConfig, model: nn.Module, transform: Any, shardings: TrainState, say: Callable[[str], None]
) -> TrainState:
    """The state before the first step: initialised, or from the parameters of another run or a folder."""
    if config.init_from:
        params = first_params(config, shardings.params, say)
        begun = jax.jit(
            lambda p: new_state(p, transform, first_memory(config)), out_shardings=shardings, donate_argnums=0
        )
        return begun(params)

    def initial(key):
        features = {
            name: jnp.zeros((1, 8), jnp.int32)
            for side in ("encoder", "decoder")
            for name in (f"{side}_inputs", f"{side}_segments", f"{side}_positions")
        }
        return new_state(nn.meta.unbox(model.init(key, features)["params"]), transform, first_memory(config))

    return jax.jit(initial, out_shardings=shardings)(jax.random.key(config.train.seed))


def first_memory(config: RunConfig) -> Cache | None:
    """What the model keeps of the segments before the first; None where it keeps nothing."""
    remembers = any(mechanism.remembers for mechanism in config.model.decoder_mechanisms)
    return init_memory(config.model, config.train.batch_size) if config.data.consecutive and remembers else None


def make_loader(
    config: RunConfig, shares: list[tuple[Task, float]], vocabulary: Vocabulary, start: Position | None
) -> Loader:
    """The batches of a run from a position (None for the beginning)."""
    data = config.data
    lengths = (data.inputs_length, data.targets_length)
    parts = [
        task.part(
            "train",
            vocabulary,
            lengths=lengths,
            rate=share,
            data_dir=data.data_dir,
            stretches=config.train.batch_size if data.consecutive else 0,
            labelling=labelling(config),
        )
        for task, share in shares
        if share
    ]
    converter = (
        SegmentConverter(length=data.targets_length, start_id=config.model.start_id)
        if data.consecutive
        else make_converter(config.model, *lengths, data.prefix_attention, data.loss_on_inputs)
    )
    layout = Layout(
        converter=converter,
        batch_size=config.train.batch_size,
        packing=data.packing,
        consecutive=data.consecutive,
        buckets=data.buckets,
        too_long=data.too_long,
    )
    return Loader(
        make_streams(parts, seed=config.train.seed, shards=data.shards),
        layout,
        host=jax.process_index(),
        hosts=jax.process_count(),
        start=start,
        workers=data.workers,
        prefetch=data.prefetch,
    )

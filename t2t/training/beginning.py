"""What a run starts from: another run's parameters, or those of a folder in Hugging Face's format."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn

from t2t import folders
from t2t.checkpoints import check_same, read_config, restore_params
from t2t.config import as_dict
from t2t.config import build as build_config
from t2t.models import ModelConfig, abstract_params, restack
from t2t.training.config import RunConfig
from t2t.training.sharding import param_shardings

# What a run says of a model that comes from a folder: how it is trained and laid out, and what is read off its states.
# All else is the folder's.
OF_THE_RUN = (*sorted(folders.OURS_ALONE - {"max_length"}), "outputs", "labels")


def begins_with_folder(config: RunConfig) -> bool:
    """Whether `init_from` is a folder in Hugging Face's format, rather than a run."""
    return bool(config.init_from) and folders.is_folder(config.init_from)


def with_model_of_folder(config: RunConfig) -> RunConfig:
    """The config with the model of the folder that it starts from, where it does."""
    if not begins_with_folder(config):
        return config
    kept = {name: getattr(config.model, name) for name in OF_THE_RUN}
    return dataclasses.replace(config, model=folders.config_of(config.init_from, **kept))


def first_params(config: RunConfig, shardings: Any, say: Callable[[str], None]) -> Any:
    """The parameters that `init_from` names, on their shardings."""
    if begins_with_folder(config):
        kept = {name: getattr(config.model, name) for name in OF_THE_RUN}
        loaded = folders.load(config.init_from, shardings=lambda boxed: shardings, seed=config.train.seed, **kept)
        say(f"Starting from the parameters of {config.init_from}, a '{loaded.family.name}'.")
        for told, names in (("New, and not yet trained", loaded.new), ("There, and not used", loaded.left)):
            if names:
                say(f"{told}: {', '.join(names)}.")
        return loaded.params
    return _params_of_run(config, shardings, say)


def _params_of_run(config: RunConfig, shardings: Any, say: Callable[[str], None]) -> Any:
    """The parameters of the run to start from, whose layers may be stacked otherwise than this run's, and whose
    mechanisms may be others."""
    workdir, model = pathlib.Path(config.init_from).expanduser(), config.model
    saved = read_config(workdir)["model"]
    layout = {name: saved[name] for name in ("stacking", "attention", "decoder_attention") if name in saved}
    theirs = build_config(ModelConfig, as_dict(model) | layout)
    boxed = abstract_params(theirs)
    abstract = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
        nn.meta.unbox(boxed),
        param_shardings(jax.tree.leaves(shardings)[0].mesh, boxed),
    )
    params, step = restore_params(workdir / "checkpoints", abstract, report=say)
    say(f"Starting from the parameters of {workdir}, step {step}.")
    if theirs != model:
        to_ours = functools.partial(restack, config=model)
        check_same(jax.eval_shape(to_ours, params), nn.meta.unbox(abstract_params(model)), str(workdir))
        params = jax.jit(to_ours, out_shardings=shardings)(params)
    return params

"""What a run starts from: another run's parameters, or those of a folder in Hugging Face's format."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import linen as nn
from flax import traverse_util

from t2t import folders
from t2t.checkpoints import check_same, read_config, restore_params
from t2t.config import as_dict
from t2t.config import build as build_config
from t2t.errors import ConfigError
from t2t.models import ModelConfig, abstract_params, by_path, drawn, restack
from t2t.training.config import RunConfig
from t2t.training.sharding import param_shardings

# What a run says of a model that comes from a folder: how it is trained and laid out, and what is read off its states.
# All else is the folder's.
OF_THE_RUN = (*sorted(folders.OURS_ALONE - {"max_length"}), "outputs", "labels")
# What a run may say otherwise of a model than the run that it starts from.
MAY_CHANGE = ("stacking", "attention", "decoder_attention", "outputs", "labels", "pooler", "pooler_width")


def begins_with_folder(config: RunConfig) -> bool:
    """Whether `init_from` is a folder in Hugging Face's format, rather than a run."""
    return bool(config.init_from) and folders.is_folder(config.init_from)


def with_model_of_folder(config: RunConfig) -> RunConfig:
    """The config with the model of the folder that it starts from, where it does.

    Raises:
      ConfigError: a family whose decoder reads labelled texts as no other does (mBART).
    """
    if not begins_with_folder(config):
        return config
    kept = {name: getattr(config.model, name) for name in OF_THE_RUN}
    family = folders.family_of(config.init_from)
    if family.calls.last_goes_first and config.model.outputs[:1] != ("vocabulary",):
        raise ConfigError(
            f"init_from {config.init_from}: the decoder of '{family.name}' begins with the last token of what its "
            f"encoder reads, and model.outputs {config.model.outputs} are not learned so here: take a 'bart', or an "
            "encoder."
        )
    return dataclasses.replace(config, model=folders.config_of(config.init_from, **kept))


def first_params(config: RunConfig, shardings: Any, say: Callable[[str], None]) -> Any:
    """The parameters that `init_from` names, on their shardings."""
    if begins_with_folder(config):
        kept = {name: getattr(config.model, name) for name in OF_THE_RUN}
        loaded = folders.load(config.init_from, shardings=lambda boxed: shardings, seed=config.train.seed, **kept)
        say(f"Starting from the parameters of {config.init_from}, a '{loaded.family.name}'.")
        _tell(loaded.new, loaded.left, say)
        return loaded.params
    return _params_of_run(config, shardings, say)


def _params_of_run(config: RunConfig, shardings: Any, say: Callable[[str], None]) -> Any:
    """The parameters of the run to start from, whose layers may be stacked otherwise than this run's, and whose
    mechanisms and heads may be others."""
    workdir, model = pathlib.Path(config.init_from).expanduser(), config.model
    saved = read_config(workdir)["model"]
    changes = {name: saved[name] for name in MAY_CHANGE if name in saved}
    theirs = build_config(ModelConfig, as_dict(model) | changes)
    boxed = abstract_params(theirs)
    abstract = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
        nn.meta.unbox(boxed),
        param_shardings(jax.tree.leaves(shardings)[0].mesh, boxed),
    )
    params, step = restore_params(workdir / "checkpoints", abstract, report=say)
    say(f"Starting from the parameters of {workdir}, step {step}.")
    if theirs == model:
        return params
    to_ours = functools.partial(restack, config=model)
    found, ours = by_path(jax.eval_shape(to_ours, params)), by_path(nn.meta.unbox(abstract_params(model)))
    new = [p for p, x in ours.items() if p.startswith("heads/") and (p not in found or found[p].shape != x.shape)]
    left = [p for p in found if p.startswith(("heads/", "logits/")) and p not in ours]
    kept = {p: x for p, x in found.items() if p not in (*new, *left)}
    check_same(kept, {p: x for p, x in ours.items() if p not in new}, str(workdir))
    _tell(new, left, say)

    def joined(params, more):
        leaves = by_path(to_ours(params)) | more
        return traverse_util.unflatten_dict({p: leaves[p] for p in ours}, sep="/")

    return jax.jit(joined, out_shardings=shardings)(params, drawn(model, new, config.train.seed))


def _tell(new: Sequence[str], left: Sequence[str], say: Callable[[str], None]) -> None:
    for told, names in (("New, and not yet trained", new), ("There, and not used", left)):
        if names:
            say(f"{told}: {', '.join(names)}.")

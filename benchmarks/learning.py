"""Whether the mechanisms learn: the same small models on the same bytes and pixels, for the same steps, with nothing
changed but the attention.

    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 python benchmarks/learning.py --store=runs/learning.json \\
        --output=benchmarks/results/learning.md

Text: next-byte prediction on WikiText-2, context 2,048. MLM: masked bytes of it, both directions. Images:
scikit-learn's digits, pixel by pixel. Every system is trained by t2t's own modules, losses and optimizer, and judged on
held-out bytes or images. What is measured goes into --store after each system: the same command goes on where it was
stopped. The page and the plot are made anew from the store each time.
"""

import argparse
import json
import pathlib
import platform
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from benchmarks import timing
from benchmarks.learning_report import write
from benchmarks.learning_systems import System, systems
from t2t import models
from t2t.objectives import cross_entropy
from t2t.training import AdamW, ScheduleConfig
from t2t.training.schedules import make_schedule


def say(*words) -> None:
    print(f"[{time.strftime('%H:%M:%S')}]", *words, flush=True)


def forward(config: models.ModelConfig, carried: bool):
    """(params, batch, cache) → the sum of losses, and the sum of weights with the new cache.

    A memory that streams carry is cut off from the gradient by the mechanism, and emptied where streams begin.
    """
    model = models.build(config)

    def loss(params, batch, cache):
        if carried:
            empty = models.init_memory(config, len(batch["inputs"]))
            cache = jax.tree.map(lambda new, old: jnp.where(batch["starts"], new, old), empty, cache)
            logits, cache = model.apply({"params": params}, batch["inputs"], cache=cache, method="decode")
        else:
            logits = model.apply({"params": params}, {f"{config.architecture}_inputs": batch["inputs"]})
        total, sums = cross_entropy(logits, batch["targets"], batch["weights"])
        return total, (sums["weights"], cache)

    return loss


def first_cache(config: models.ModelConfig, batch: dict, carried: bool):
    return models.init_memory(config, len(batch["inputs"])) if carried else None


def train(system: System, steps: int, seed: int) -> tuple[dict, dict]:
    """One run: its parameters, and what was measured."""
    config, loss = system.config, forward(system.config, system.carried)
    batches = system.data.train(seed)
    batch = next(batches)
    model = models.build(config)
    dummy = models.dummy_batch(config, length=batch["inputs"].shape[1])
    params = nn.meta.unbox(jax.jit(model.init)(jax.random.key(seed), dummy)["params"])
    schedule = make_schedule(ScheduleConfig(decay="cosine", peak=2e-3, warmup=max(steps // 10, 1)), steps)
    transform = optax.chain(optax.clip_by_global_norm(1.0), AdamW(weight_decay=0.1).transform(schedule))

    def step(params, optimizer, cache, batch):
        def mean(params):
            total, (weights, new) = loss(params, batch, cache)
            return total / weights, new

        (value, new), gradients = jax.value_and_grad(mean, has_aux=True)(params)
        updates, optimizer = transform.update(gradients, optimizer, params)
        return optax.apply_updates(params, updates), optimizer, new, value

    state = params, transform.init(params), first_cache(config, batch, system.carried)
    begun = time.perf_counter()
    compiled = jax.jit(step, donate_argnums=(0, 1, 2)).lower(*state, batch).compile()
    found = {
        "compile_seconds": time.perf_counter() - begun,
        "memory": timing.temporaries(compiled),
        "parameters": sum(x.size for x in jax.tree.leaves(params)),
        "tokens_a_step": int(batch["inputs"].size),
    }
    bits, times = [], []
    for i in range(steps):
        begun = time.perf_counter()
        *state, value = compiled(*state, batch)
        bits.append(float(value) / np.log(2))
        times.append(time.perf_counter() - begun)
        batch = next(batches)
        if (i + 1) % max(steps // 8, 1) == 0:
            say(f"  step {i + 1}: {np.mean(bits[-max(steps // 8, 1) :]):.3f} bits, {np.median(times):.3f} s a step")
    return state[0], found | {"bits": bits, "step_seconds": float(np.quantile(times[1:], 0.1))}


def evaluate(params: dict, config: models.ModelConfig, system: System) -> float:
    """Bits a target on all held-out data."""
    compiled = jax.jit(forward(config, system.carried))
    total = weights = 0.0
    cache = None
    for batch in system.data.held_out():
        cache = first_cache(config, batch, system.carried) if cache is None else cache
        loss, (weight, cache) = compiled(params, batch, cache)
        total, weights = total + float(loss), weights + float(weight)
    return float(total / weights / np.log(2))


def measure(name: str, system: System, steps: int) -> dict:
    """All runs of a system."""
    runs = []
    for seed in range(system.seeds):
        say(f"{name}: {steps} steps, seed {seed}")
        params, found = train(system, steps, seed)
        found["held_out"] = {name: evaluate(params, system.config, system)}
        for other, config in system.evaluated.items():
            found["held_out"][other] = evaluate(params, config, system)
        judged = ", ".join(f"{what} {bits:.3f}" for what, bits in found["held_out"].items())
        say(f"held out: {judged}; {found['step_seconds']:.3f} s a step")
        runs.append(found)
    return {"group": system.group, "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", default="", help="only these, by name or by group, separated by semicolons")
    parser.add_argument("--steps", type=int, default=400, help="of training, for every system")
    parser.add_argument("--quick", action="store_true", help="tiny models for a few steps, to see that the script runs")
    parser.add_argument("--store", default="runs/learning.json", help="where measurements are kept")
    parser.add_argument("--output", default="", help="the Markdown page; its plot goes to curves/ beside it")
    arguments = parser.parse_args()
    steps = min(arguments.steps, 8) if arguments.quick else arguments.steps
    setting = {"steps": steps, "quick": arguments.quick, "jax": jax.__version__, "python": platform.python_version(),
               "device": timing.device()}  # fmt: skip
    path = pathlib.Path(arguments.store)
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"setting": setting, "systems": {}}
    if stored["setting"] != setting:
        raise SystemExit(f"{path} was measured with {stored['setting']}, not {setting}: give another --store.")
    everything = systems(arguments.quick)
    wanted = [w.strip() for w in arguments.systems.split(";") if w.strip()]
    for unknown in [w for w in wanted if w not in everything and w not in {s.group for s in everything.values()}]:
        raise SystemExit(f"--systems: no system or group {unknown!r}; there are {'; '.join(everything)}.")
    for name, system in everything.items():
        if wanted and name not in wanted and system.group not in wanted:
            continue
        if name in stored["systems"]:
            say(f"{name}: measured before, in {path}")
            continue
        stored["systems"][name] = measure(name, system, steps)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(stored), encoding="utf-8")
    page = write(stored, list(everything), timing.command(), pathlib.Path(arguments.output or "learning.md"),
                 plot=bool(arguments.output))  # fmt: skip
    if arguments.output:
        pathlib.Path(arguments.output).write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()

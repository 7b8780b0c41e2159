"""What `learning.py` measured, as a page of Markdown with its plot."""

import datetime
import pathlib

import numpy as np

from benchmarks import timing

GROUPS = {
    "text": ("Next byte of WikiText-2", "bits per byte"),
    "mlm": ("Masked bytes of WikiText-2", "bits per masked byte"),
    "images": ("Digits, pixel by pixel", "bits per dim"),
}
# What the papers claim: (claim, the better system here, the worse one, what was measured there).
ENWIK8 = "enwik8, n = 12,288: fixed 0.99, dense 1.00, strided 1.13 bits per byte (Child et al. 2019, table 2)"
CIFAR10 = "CIFAR-10: strided 2.80 bits a dimension (Child et al. 2019, table 1)"
WITH, WITHOUT = "Transformer-XL, {segment} + memory {segment}", "Transformer-XL, {segment} without memory"
LONGER = "Transformer-XL, memory {longer} at evaluation"
CLAIMS = (
    ("Fixed beats strided on text", "fixed", "strided", ENWIK8),
    ("Fixed is no worse than dense on text", "fixed", "dense", ENWIK8),
    ("Strided beats fixed on images", "images, strided", "images, fixed", CIFAR10),
    ("Strided is no worse than dense on images", "images, strided", "images, dense", CIFAR10),
    (
        "Transformer-XL beats itself without memory",
        WITH,
        WITHOUT,
        "1B word: perplexity 25.2 with recurrence, 27.1 without (Dai et al. 2019)",
    ),
    (
        "A longer memory at evaluation helps",
        LONGER,
        WITH,
        "enwik8, 12 layers: trained at 512, judged at 2,100 (Dai et al. 2019)",
    ),
)
TIE = 0.01  # bits: what another seed may well change
CLOSE = (
    "RoBERTa-base, n = 512: dense 92.25 on average, Linformer with n/4 = 128 91.75, with n/2 = 256 92.08, and "
    "92.30 with one projection for all (Wang et al. 2020)"
)


def write(stored: dict, order: list[str], command: str, output: pathlib.Path, plot: bool) -> str:
    """The page; the plot is saved beside it."""
    setting, found = stored["setting"], stored["systems"]
    lines = [
        "# Does it learn? The mechanisms on real bytes and pixels",
        "",
        f"{datetime.date.today()} · Python {setting['python']} · jax {setting['jax']} · {setting['device']}",
        f"Command: `{command}`",
        "",
        f"{setting['steps']} steps of each system, AdamW, one width; within a table only the attention differs. Text "
        "and MLM: 4 layers of width 128, 4 heads, trained on the text of WikiText-2's test file, judged on the first "
        "131,072 bytes of its validation file. Seconds are of the quickest tenth of steps; MiB are XLA's temporaries "
        "of a training step." + (" **A quick run of tiny models: no result.**" if setting["quick"] else ""),
        "",
        "A few hundred steps say which attention learns soonest, not which would end best: at first the fewer keys "
        "there are, the sooner a model learns which of them matter (dense with a context of 512 is ahead of itself "
        "with 2,048).",
    ]
    for group, (title, unit) in GROUPS.items():
        rows = [row for name in order if name in found and found[name]["group"] == group for row in _rows(found, name)]
        if rows:
            header = ("system", f"{unit}, held out", "s/step", "tokens a step", "MiB", "parameters", "compile, s")
            lines += ["", f"## {title}", "", timing.table(header, rows)]
    lines += ["", "## The papers' claims", "", timing.table(("claim", "there", "here"), _claims(found, order)), ""]
    if plot:
        output.parent.joinpath("curves").mkdir(parents=True, exist_ok=True)
        draw(found, order, output.parent / "curves" / f"{output.stem}.png")
        lines += [f"![curves](curves/{output.stem}.png)", ""]
    return "\n".join(lines)


def held_out(found: dict) -> dict[str, list[float]]:
    """Bits of every run by what was judged, evaluations under another config among them."""
    bits: dict[str, list[float]] = {}
    for entry in found.values():
        for run in entry["runs"]:
            for name, value in run["held_out"].items():
                bits.setdefault(name, []).append(value)
    return bits


def _shown(values: list[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def _rows(found: dict, name: str) -> list[list[str]]:
    runs, bits = found[name]["runs"], held_out({name: found[name]})
    first = runs[0]
    rows = [
        [
            name,
            _shown(bits.pop(name)),
            f"{np.median([run['step_seconds'] for run in runs]):.3f}",
            f"{first['tokens_a_step']:,}",
            timing.megabytes(first["memory"]),
            f"{first['parameters']:,}",
            f"{first['compile_seconds']:.1f}",
        ]
    ]
    return rows + [[other, _shown(values), "–", "–", "–", "the same", "–"] for other, values in bits.items()]


def _claims(found: dict, order: list[str]) -> list[list[str]]:
    bits = {name: float(np.mean(values)) for name, values in held_out(found).items()}
    names = _names(bits)
    rows = []
    for claim, better, worse, there in CLAIMS:
        better, worse = (name.format(**names) for name in (better, worse))
        if better not in bits or worse not in bits:
            rows.append([claim, there, "not measured"])
            continue
        verdict = "agrees" if bits[better] <= bits[worse] else "**disagrees**"
        if abs(bits[better] - bits[worse]) < TIE:
            verdict = "a tie"
        rows.append([claim, there, f"{bits[better]:.3f} against {bits[worse]:.3f}: {verdict}"])
    quarter = [name for name in order if "n/4" in name and name in bits]
    if "MLM, dense" in bits and quarter:
        dense, best = bits["MLM, dense"], min(bits[name] for name in quarter)
        rows.append(
            ["Linformer's n/4 is close to dense", CLOSE, f"{best:.3f} against {dense:.3f}: {best - dense:+.3f} bits"]
        )
    return rows


def _names(bits: dict) -> dict[str, int]:
    """The lengths in the names of what was judged."""
    segment = [
        int(name.split(", ")[1].split()[0]) for name in bits if name.startswith("Transformer-XL, ") and "+" in name
    ]
    longer = [int(name.split("memory ")[1].split()[0]) for name in bits if name.endswith("at evaluation")]
    return {"segment": segment[0] if segment else 0, "longer": min(longer) if longer else 0}


def draw(found: dict, order: list[str], path: pathlib.Path) -> None:
    """Training curves of every group, with the held-out figure as a point at the end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(GROUPS), figsize=(18, 6), layout="constrained")
    for panel, (group, (title, unit)) in zip(panels, GROUPS.items()):
        lows = []
        for name in (n for n in order if n in found and found[n]["group"] == group):
            runs = found[name]["runs"]
            curve = np.mean([run["bits"] for run in runs], axis=0)
            window = max(len(curve) // 20, 1)
            smooth = np.convolve(curve, np.ones(window) / window, mode="valid")
            (line,) = panel.plot(np.arange(window, len(curve) + 1), smooth, linewidth=1.3, label=name)
            end = float(np.mean([run["held_out"][name] for run in runs]))
            panel.plot(len(curve) * 1.02, end, "o", color=line.get_color(), markersize=5)
            lows += [end, smooth[-1]]
        if lows:
            panel.set_ylim(min(lows) - 0.1, max(lows) + 1.2)
            panel.legend(fontsize=8)
        panel.set(title=f"{title}\n(lines: training, smoothed; points: held out)", xlabel="step", ylabel=unit)
        panel.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)

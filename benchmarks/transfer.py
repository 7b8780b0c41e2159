"""Whether what is pre-trained here can be given away as a folder, fine-tuned from there and given away again: an
encoder, a decoder and an encoder-decoder, on real tasks, by the launch scripts and recipes as a user calls them.

    python benchmarks/transfer.py --work=runs/transfer --peer_python=PYTHON --output=benchmarks/results/transfer.md

Small models are pre-trained for some minutes on what text there is in $T2T_DATA (../shared/data if it is not set),
written in Hugging Face's format by launch/convert.py, and fine-tuned with --config.init_from=FOLDER, beside the same
from random parameters. The fine-tuned are written as folders again, which t2t and, with --peer_python, transformers
judge on the same phrases. The same command goes on where it was stopped.
"""

import argparse
import csv
import dataclasses
import datetime
import glob
import gzip
import json
import os
import pathlib
import random
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import tokenizers

import t2t
from benchmarks import timing

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("T2T_DATA", REPOSITORY.parent / "shared" / "data"))
PIECES, JUDGED = 8_000, 1_000
BERT = {"data.vocabulary": "folder:{work}/wordpiece"}
GPT2 = {
    "data.vocabulary": "folder:{work}/bytepair", "model.width": 128, "model.heads": 2, "model.head_width": 64,
    "model.mlp_width": 512, "model.decoder_layers": 2,
}  # fmt: skip
T5 = {
    "model.width": 128, "model.heads": 2, "model.head_width": 64, "model.mlp_width": 384, "model.encoder_layers": 2,
    "model.decoder_layers": 2,
}  # fmt: skip
TEXT = {"data.train": "{work}/text.txt", "data.validation": "{work}/validation.txt"}
PRETRAINED = {  # family: (recipe, what is set)
    "bert": ("wikitext2_mlm", {**BERT, **TEXT, "train.steps": 600}),
    "gpt2": (
        "wikitext2_lm",
        {**GPT2, **TEXT, "data.inputs_length": 64, "data.targets_length": 64, "train.batch_size": 32,
         "train.steps": 300, "train.schedule.peak": 2e-3},
    ),
    "t5": ("wikitext2_spans", {**T5, **TEXT, "data.vocabulary": f"sentencepiece:{PIECES}", "train.steps": 400}),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Task:
    """What a family is fine-tuned on.

    Attributes:
      recipe: a config.
      settings: of it.
      judged: on what, in words.
      measures: of the last evaluation, with their names in the table.
    """

    family: str
    recipe: str
    settings: dict
    judged: str
    measures: dict[str, str]


SST2, ACCURACY = "SST-2, 6,735 phrases", {"accuracy": "accuracy"}
XQUAD = {
    "data.train": "{work}/xquad_train.json", "data.validation": "{work}/xquad_validation.json",
    "train.schedule.peak": 5e-4,
}  # fmt: skip
OF_T5 = {**T5, "data.vocabulary": "folder:{work}/t5"}
TASKS = (
    Task("bert", "sst2_encoder", {**BERT, "train.steps": 800}, SST2, ACCURACY),
    Task("bert", "wnut17", {**BERT, "train.steps": 600}, "WNUT-17, 1,009 texts", {"entity_f1": "entity F1"}),
    Task("bert", "subjqa", {**BERT, **XQUAD}, "XQuAD, questions on 9 other articles", {"em": "EM", "f1": "F1"}),
    Task("gpt2", "sst2_decoder", {**GPT2, "data.inputs_length": 96, "train.steps": 400}, SST2, ACCURACY),
    Task("t5", "sst2", {**OF_T5, "train.steps": 500}, SST2, {"exact_match": "exact match"}),
)


def prepare(work: pathlib.Path) -> None:
    """Text, tokenizers and the articles of XQuAD in two parts."""
    if (work / "xquad_train.json").exists():
        return
    lines = (DATA / "wikitext2/test.txt").read_text(encoding="utf-8").splitlines()
    for name in sorted(glob.glob(str(DATA / "brown/*"))):
        with gzip.open(name, "rt") if name.endswith(".gz") else open(name, encoding="utf-8") as file:
            lines += file.read().splitlines()
    for name in sorted(glob.glob(str(DATA / "c4/*train*"))):
        with gzip.open(name, "rt") if name.endswith(".gz") else open(name, encoding="utf-8") as file:
            lines += [line for document in file for line in json.loads(document)["text"].splitlines()]
    lines += [row["sentence"] for row in _phrases("train")]
    lines = [line.strip() for line in lines if len(line.split()) > 3]
    random.Random(0).shuffle(lines)
    (work / "text.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    held = (DATA / "wikitext2/valid.txt").read_text(encoding="utf-8").splitlines()
    (work / "validation.txt").write_text("\n".join([line for line in held if line.strip()][:400]) + "\n")
    for name, kind, made, options in (
        ("wordpiece", "BertTokenizer", tokenizers.BertWordPieceTokenizer(lowercase=True), {}),
        ("bytepair", "GPT2Tokenizer", tokenizers.ByteLevelBPETokenizer(), {"special_tokens": ["<|endoftext|>"]}),
    ):
        made.train_from_iterator(lines, vocab_size=PIECES, show_progress=False, **options)
        (work / name).mkdir(exist_ok=True)
        made.save_model(str(work / name))
        (work / name / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    with gzip.open(DATA / "xquad/xquad.en.json.gz", "rt") as file:
        articles = json.load(file)["data"]
    first = len(articles) * 4 // 5
    for name, part in (("validation", articles[first:]), ("train", articles[:first])):
        (work / f"xquad_{name}.json").write_text(json.dumps({"version": "1.1", "data": part}))


def _phrases(split: str) -> list[dict]:
    with open(DATA / f"sst2/{split}.tsv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def launched(script: str, *flags: str) -> None:
    print(f"python launch/{script} {' '.join(flags)}", flush=True)
    subprocess.run([sys.executable, REPOSITORY / "launch" / script, *flags], check=True, cwd=REPOSITORY)


def run(work: pathlib.Path, recipe: str, name: str, settings: dict) -> dict:
    """Trains by a recipe → the measures of the last evaluation."""
    workdir = work / "runs" / name
    if not (workdir / "summary.json").exists():
        steps = settings.get("train.steps", 200)
        settings = {**settings, "train.eval_every": steps, "train.checkpoint_every": steps}
        given = [f"--config.{key}={str(value).format(work=work)}" for key, value in settings.items()]
        launched("train.py", f"--config=configs/{recipe}.py", *given, f"--workdir={workdir}")
    lines = (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = next(line for line in map(json.loads, reversed(lines)) if "evaluation_loss" in line)
    return {key.removeprefix("files/"): value for key, value in found.items()}


def folder(work: pathlib.Path, source: str, target: str, family: str) -> pathlib.Path:
    """A run as a folder in Hugging Face's format."""
    made = work / target
    if not (made / "config.json").exists():
        launched("convert.py", f"--source={work / 'runs' / source}", f"--target={made}", f"--family={family}")
    return made


def answers(family: str, path: pathlib.Path, phrases: list[str]) -> list[str]:
    """What a fine-tuned folder says of phrases."""
    model = t2t.load(str(path))
    if family == "bert":
        return [str(label) for label in model.predict(phrases)]
    return model.generate([f"sst2 sentence: {phrase}" for phrase in phrases])


def judged(work: pathlib.Path, peer_python: str) -> str:
    """The accuracy of folders that were fine-tuned, by t2t and by transformers."""
    rows, phrases = [], _phrases("dev")[:JUDGED]
    texts, labels = [row["sentence"] for row in phrases], [row["label"] for row in phrases]
    for family, source in (("bert", "bert_sst2_encoder_from_folder"), ("t5", "t5_sst2_from_folder")):
        path = folder(work, source, f"{family}_fine_tuned", family)
        found = {"t2t": answers(family, path, texts)}
        if peer_python:
            script = pathlib.Path(__file__).with_name("transfer_torch.py")
            command = [peer_python, script, family, path]
            out = subprocess.run(command, input=json.dumps(texts), stdout=subprocess.PIPE, check=True, text=True)
            found["transformers"] = json.loads(out.stdout.splitlines()[-1])
        rows += [
            [family, by, f"{sum(a.strip() == b for a, b in zip(said, labels)) / len(labels):.1%}"]
            for by, said in found.items()
        ]
    return timing.table(["folder", "read by", f"accuracy, the first {JUDGED:,} phrases"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="where runs and folders go")
    parser.add_argument("--peer_python", default="", help="a Python with PyTorch and transformers")
    parser.add_argument("--output", type=pathlib.Path, help="a file of Markdown to write")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    prepare(work)
    for family, (recipe, settings) in PRETRAINED.items():
        run(work, recipe, f"{family}_pretrained", settings)
        folder(work, f"{family}_pretrained", family, family)
    rows = []
    for task in TASKS:
        name, told = f"{task.family}_{task.recipe}", []
        for start, more in (("folder", {"init_from": f"{{work}}/{task.family}"}), ("random", {})):
            found = run(work, task.recipe, f"{name}_from_{start}", {**task.settings, **more})
            told.append(" / ".join(f"{found[key]:.1f}" for key in task.measures))
        measure = " / ".join(task.measures.values()) + ", %"
        rows.append([task.family, f"`configs/{task.recipe}.py`", task.judged, measure, *told])
        print(rows[-1], flush=True)
    header = ["family", "fine-tuned by", "judged on", "measure", "from the folder", "from random parameters"]
    told = f"{datetime.date.today()}, {timing.device()}, Python {sys.version.split()[0]}: `{timing.command()}`"
    page = f"# From text to a folder to a task\n\n{told}\n\n{__doc__.split(chr(10) * 2)[2]}\n\n"
    page += timing.table(header, rows) + "\n\n" + judged(work, arguments.peer_python) + "\n"
    print(page)
    if arguments.output:
        arguments.output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

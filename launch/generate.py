"""Answers prompts with a trained run: prompts in, text or JSONL out.

python launch/generate.py --workdir=runs/mine --prompt="a prompt" --prompt="another"
python launch/generate.py --workdir=runs/mine --file=prompts.txt --output=answers.jsonl --beams=4
cat prompts.txt | python launch/generate.py --workdir=runs/mine
"""

import contextlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from absl import flags

from launch import script

_WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the run.")
_STEP = flags.DEFINE_string("step", None, "Of the checkpoint: a number, or 'best'; the newest if not given.")
_PROMPT = flags.DEFINE_multi_string("prompt", [], "A prompt; may be given several times.")
_FILE = flags.DEFINE_string("file", None, "A file with a prompt on each line (plain or .gz).")
_OUTPUT = flags.DEFINE_string("output", None, "Write here instead of to the terminal; JSONL if it ends in .jsonl.")
_FORMAT = flags.DEFINE_enum("format", None, ["text", "jsonl"], "Of the output; text unless --output ends in .jsonl.")
_METHOD = flags.DEFINE_enum(
    "method", None, ["greedy", "sample", "beam"], "How to decode; the run's own way if not given."
)
_BEAMS = flags.DEFINE_integer("beams", None, "Beam search with so many beams.")
_LENGTH_PENALTY = flags.DEFINE_float("length_penalty", None, "α of beam search.")
_LENGTH_FORM = flags.DEFINE_enum(
    "length_form", None, ["gnmt", "power"], "Of beam search: divide by ((5 + length) / 6)^α, or by length^α."
)
_EARLY_STOPPING = flags.DEFINE_enum("early_stopping", None, ["never", "false", "true"], "When a beam search stops.")
_RETURN = flags.DEFINE_integer("num_return_sequences", None, "So many of the beams, or samples of each prompt.")
_REPETITION_PENALTY = flags.DEFINE_float("repetition_penalty", None, "Above 1: less of what is there already.")
_NO_REPEAT = flags.DEFINE_integer("no_repeat_ngram_size", None, "No n-gram of this length twice.")
_MIN_NEW_TOKENS = flags.DEFINE_integer("min_new_tokens", None, "Tokens to generate at least.")
_TEMPERATURE = flags.DEFINE_float("temperature", None, "Sample at this temperature.")
_TOP_K = flags.DEFINE_integer("top_k", None, "Sample among the k likeliest tokens.")
_TOP_P = flags.DEFINE_float("top_p", None, "Sample among the likeliest tokens that hold this much probability.")
_MAX_LENGTH = flags.DEFINE_integer("max_length", None, "Tokens to generate at most.")
_SEED = flags.DEFINE_integer("seed", None, "Of sampling.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Prompts at a time.")


def main(argv: list[str]) -> None:
    script.need(workdir=_WORKDIR.value)
    import t2t
    from t2t.errors import UserError
    from t2t.inference import TextModel

    script.use_compilation_cache()
    prompts = _prompts()
    model = t2t.load(
        _WORKDIR.value,
        _STEP.value if _STEP.value in (None, "best") else script.integer("step", _STEP.value),
        batch_size=_BATCH_SIZE.value,
        report=script.say,
    )
    changes = {
        "method": _METHOD.value,
        "beams": _BEAMS.value,
        "length_penalty": _LENGTH_PENALTY.value,
        "length_form": _LENGTH_FORM.value,
        "early_stopping": {"true": True, "false": False}.get(_EARLY_STOPPING.value, _EARLY_STOPPING.value),
        "num_return_sequences": _RETURN.value,
        "repetition_penalty": _REPETITION_PENALTY.value,
        "no_repeat_ngram_size": _NO_REPEAT.value,
        "min_new_tokens": _MIN_NEW_TOKENS.value,
        "temperature": _TEMPERATURE.value,
        "top_k": _TOP_K.value,
        "top_p": _TOP_P.value,
        "max_length": _MAX_LENGTH.value,
        "seed": _SEED.value,
    }
    changes = {k: v for k, v in changes.items() if v is not None}
    with script.progress("generating", len(prompts)) as progress:
        if isinstance(model, TextModel):
            found = model.generate_all(prompts, progress=progress, **changes)
        elif changes:
            raise UserError(f"This model answers with labels, not with text: leave out --{', --'.join(changes)}.")
        else:
            found = [[(answer, None)] for answer in model.predict(prompts, progress=progress)]
    jsonl = (_FORMAT.value or ("jsonl" if (_OUTPUT.value or "").endswith(".jsonl") else "text")) == "jsonl"
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(open(_OUTPUT.value, "w", encoding="utf-8")) if _OUTPUT.value else sys.stdout
        for prompt, answers in zip(prompts, found):
            row = {"prompt": prompt, "answer": answers[0][0]}
            if answers[0][1] is not None:
                row["score"] = answers[0][1]
            if len(answers) > 1:
                row["alternatives"] = [{"answer": a, "score": s} for a, s in answers[1:]]
            print(json.dumps(row, ensure_ascii=False) if jsonl else answers[0][0], file=out)


def _prompts() -> list[str]:
    """The prompts of the flags, of the file, or of standard input."""
    from t2t.data.lines import Lines
    from t2t.errors import UserError

    if _PROMPT.value and _FILE.value:
        raise UserError("--prompt and --file both give prompts: give one of them.")
    if _PROMPT.value:
        return _PROMPT.value
    if _FILE.value:
        return list(Lines(_FILE.value))
    if sys.stdin.isatty():
        raise UserError('No prompt: give --prompt="…", --file=prompts.txt, or prompts on standard input, one a line.')
    prompts = [line.rstrip("\n") for line in sys.stdin]
    if not prompts:
        raise UserError("Standard input is empty: expected a prompt on each line.")
    return prompts


if __name__ == "__main__":
    script.run(main)

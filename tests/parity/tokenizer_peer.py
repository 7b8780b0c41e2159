"""What `transformers` gives for a tokenizer folder. Run, it writes tests/golden/tokenizers, or some of its cases.

PYTHONPATH=.:tests/parity python tests/parity/tokenizer_peer.py [CASE …]      (with the `parity` extra installed)
"""

import hashlib
import json
import pathlib
import sys
from typing import Any

import tokenizer_cases
from tokenizer_cases import HARD, PAIRS

NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
LONGEST = 48  # ids that a golden file spells out


def load(folder: pathlib.Path) -> Any:
    """Their tokenizer of a folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def results(folder: pathlib.Path) -> dict[str, Any]:
    """Ids, types and offsets of the hard strings and pairs, what they decode to, and the ids of special tokens.

    Types and offsets are null where their tokenizer has none, and types also where they make no sense of pairs.
    """
    theirs = load(folder)
    fast, typed = theirs.is_fast, theirs.is_fast
    found: dict[str, Any] = {"size": len(theirs), "special": {n: getattr(theirs, f"{n}_token_id") for n in NAMES}}
    ends = {found["special"]["eos"], found["special"]["sep"]}
    found["single"] = []
    for text in HARD:
        encoded = theirs(text, return_offsets_mapping=fast, return_token_type_ids=typed)
        plain = [i for i in theirs(text, add_special_tokens=False)["input_ids"] if i not in ends]
        offsets = [list(o) for o in encoded["offset_mapping"]] if fast else None
        decoded = theirs.decode(plain, skip_special_tokens=True)
        found["single"].append([encoded["input_ids"], encoded["token_type_ids"] if typed else None, offsets, decoded])
    found["target"] = [theirs(text_target=text)["input_ids"] for text in HARD] if not fast else None
    found["pair"] = []
    for pair in PAIRS:
        encoded = theirs(*pair, return_token_type_ids=typed)
        found["pair"].append([encoded["input_ids"], encoded["token_type_ids"] if typed else None])
    return found


def short(found: dict[str, Any]) -> dict[str, Any]:
    """The same for a golden file: ids are spelled out where they are few; of all the rest there is a digest."""
    target = found["target"] or [None] * len(HARD)
    return {
        **{key: found[key] for key in ("size", "special", "pair")},
        "single": [
            [one[0] if len(one[0]) <= LONGEST else None, digest([one, t])] for one, t in zip(found["single"], target)
        ],
    }


def digest(value: Any) -> str:
    """A hash of a value of JSON."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


if __name__ == "__main__":
    for case in sys.argv[1:] or tokenizer_cases.CASES:
        folder = pathlib.Path(__file__).resolve().parent.parent / "golden" / "tokenizers" / case
        tokenizer_cases.write(case, folder)
        lines = json.dumps(short(results(folder))).replace("], [", "],\n[")
        (folder / "results.json").write_text(lines + "\n", encoding="utf-8")
        print(case, sum(path.stat().st_size for path in folder.iterdir()))

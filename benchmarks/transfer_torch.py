"""What transformers says of phrases with a folder that t2t wrote: `python benchmarks/transfer_torch.py FAMILY FOLDER`,
a JSON list of phrases on its standard input, one of answers on its standard output."""

import json
import sys

import torch
import transformers

ROWS = 50


def main() -> None:
    family, folder = sys.argv[1:]
    phrases, said = json.load(sys.stdin), []
    kind = "AutoModelForSequenceClassification" if family == "bert" else "AutoModelForSeq2SeqLM"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = getattr(transformers, kind).from_pretrained(folder).eval()
    for start in range(0, len(phrases), ROWS):
        texts = phrases[start : start + ROWS]
        if family != "bert":
            texts = [f"sst2 sentence: {text}" for text in texts]
        batch = tokenizer(texts, return_tensors="pt", padding=True)
        with torch.no_grad():
            if family == "bert":
                said += [model.config.id2label[int(label)] for label in model(**batch).logits.argmax(-1)]
            else:
                said += tokenizer.batch_decode(model.generate(**batch, max_new_tokens=4), skip_special_tokens=True)
    print(json.dumps(said))


if __name__ == "__main__":
    main()

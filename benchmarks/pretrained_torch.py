"""The peer of `pretrained.py`: Hugging Face transformers on PyTorch, in a process that works only while it is asked to.

A line of JSON in, {"case": …, "dtype": …}: the case is made, run once, and its seconds are told; asked again, it is run
again. Cases: bert_forward, bert_step, gpt2_decode. Attention is what transformers chooses (PyTorch's fused one).
"""

import json
import sys
import time

import torch
import transformers

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ROWS, LENGTH, GENERATED = 8, 128, 64


def bert_forward(dtype: torch.dtype):
    model = transformers.BertForMaskedLM(transformers.BertConfig()).to(dtype).eval()
    tokens = torch.randint(3, 30_000, (ROWS, LENGTH))

    def run():
        with torch.inference_mode():
            model(input_ids=tokens)

    return run


def bert_step(dtype: torch.dtype):
    """Forward, backward and AdamW; parameters float32, products in `dtype`."""
    model = transformers.BertForMaskedLM(transformers.BertConfig()).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    tokens = torch.randint(3, 30_000, (ROWS, LENGTH))

    def run():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        optimizer.step()

    return run


def gpt2_decode(dtype: torch.dtype):
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config()).to(dtype).eval()
    prompts = torch.randint(3, 50_000, (ROWS, LENGTH))
    options = dict(min_new_tokens=GENERATED, max_new_tokens=GENERATED, do_sample=False, pad_token_id=0)

    def run():
        with torch.inference_mode():
            model.generate(prompts, attention_mask=torch.ones_like(prompts), **options)

    return run


CASES = {"bert_forward": bert_forward, "bert_step": bert_step, "gpt2_decode": gpt2_decode}


def main() -> None:
    print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__}), flush=True)
    made = {}
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked["case"], asked["dtype"]
        if name not in made:
            made = {name: CASES[asked["case"]](DTYPES[asked["dtype"]])}  # one at a time in memory
            made[name]()
        start = time.perf_counter()
        made[name]()
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main()

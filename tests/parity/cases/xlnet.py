"""XLNet: one stream and two, with a memory, and all its heads."""

import numpy as np

from cases.case import IDS, Case, base, chosen, classified, masked_lm, measured, names, padded, spanned, tagged

_XLNET = {
    **IDS, "d_model": 8, "n_layer": 2, "n_head": 2, "d_inner": 12, "dropout": 0.0, "layer_norm_eps": 1e-2,
    "mem_len": None, "summary_last_dropout": 0.0,
}  # fmt: skip
ANCHOR = 5  # a token that is real in every row, and that all may see


def _typed(inputs):
    """With types of tokens."""
    return lambda generator, settings: (
        (given := inputs(generator, settings)) | {"token_type_ids": generator.integers(0, 3, given["input_ids"].shape)}
    )


def _remembering(inputs, length):
    """After `length` positions, which both layers were given."""

    def arguments(generator, settings):
        given = inputs(generator, settings)
        mems = generator.normal(size=(settings["n_layer"], length, len(given["input_ids"]), settings["d_model"]))
        return given | {"mems": mems.astype(np.float32)}

    return arguments


def _unpadded(generator, settings):
    tokens = generator.integers(3, settings["vocab_size"], (3, 7))
    return {"input_ids": tokens, "labels": np.where(generator.random((3, 7)) < 0.5, tokens, -100)}


def _mapped(generator, given, count):
    """Predictions of `count` tokens of each row."""
    b, n = given["input_ids"].shape
    mask = given.get("attention_mask", np.ones((b, n), np.int64))
    mapping = np.zeros((b, count, n), np.float32)
    for row in range(b):
        free = [i for i in range(n) if mask[row, i] and i != ANCHOR]
        mapping[row, np.arange(count), generator.choice(free, count, replace=False)] = 1
    return {"target_mapping": mapping, "labels": generator.integers(3, 61, (b, count))}


def _everyone(generator, settings):
    """Queries that see all tokens, their own among them."""
    given = {name: value for name, value in _unpadded(generator, settings).items() if name != "labels"}
    return given | _mapped(generator, given, 3)


def _permuted(generator, settings):
    """Tokens see those before them in a random order, and the anchor."""
    given = padded(generator, settings)
    order = generator.random(given["input_ids"].shape)
    order[:, ANCHOR] = -1.0
    hidden = order[:, :, None] <= order[:, None, :]
    return given | {"perm_mask": hidden.astype(np.float32)} | _mapped(generator, given, 4)


def _unlabelled(inputs):
    return lambda generator, settings: {n: v for n, v in inputs(generator, settings).items() if n != "labels"}


def _of(ending, inputs, **settings):
    return Case(f"XLNet{ending}", "XLNetConfig", {**_XLNET, **settings}, inputs)


LM = "LMHeadModel"
CASES = {
    "xlnet": _of(LM, masked_lm),
    "xlnet_types": _of(LM, _typed(masked_lm), ff_activation="gelu_new", n_layer=3),
    "xlnet_everyone": _of(LM, _everyone, ff_activation="silu"),
    "xlnet_permuted": _of(LM, _typed(_permuted), ff_activation="relu"),
    "xlnet_memory": _of(LM, _remembering(_typed(_permuted), 6), mem_len=9, reuse_len=4, clamp_len=3),
    "xlnet_memory_masked": _of(LM, _remembering(masked_lm, 4)),
    "xlnet_uni": _of(LM, _typed(_unpadded), attn_type="uni", same_length=True),
    "xlnet_uni_memory": _of(LM, _remembering(_unpadded, 5), attn_type="uni", same_length=True, mem_len=7),
    "xlnet_uni_queries": _of(LM, _remembering(_everyone, 5), attn_type="uni", clamp_len=4),
    "xlnet_classes": _of("ForSequenceClassification", _typed(classified), **names(3)),
    "xlnet_number": _of("ForSequenceClassification", measured, **names(1), summary_type="first"),
    "xlnet_relu": _of("ForSequenceClassification", classified, summary_activation="relu"),
    "xlnet_tags": _of("ForTokenClassification", tagged, **names(5)),
    "xlnet_spans": _of("ForQuestionAnsweringSimple", _typed(spanned)),
    "xlnet_choice": _of("ForMultipleChoice", chosen),
    "xlnet_base": _of("Model", base),
    "xlnet_base_queries": _of("Model", _unlabelled(_permuted)),
}  # fmt: skip

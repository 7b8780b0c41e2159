"""Small models with tokenizers, and what their pipelines are asked: held against transformers' pipelines."""

import dataclasses
import json
import pathlib
import shutil
from typing import Any

import numpy as np

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
FOX = "The quick brown fox jumps over the lazy dog, and doesn't look back."
CAFE = "Où est la bibliothèque ? Là-bas, près du café."
LONG = " ".join([FOX, CAFE, "Transformers learn 1,234 tasks from 56.78 % of the text; isn't that good?"] * 2)
TEXTS = [FOX, CAFE, "a", "東京は日本の首都です。 That is good 😀 so.", LONG]

_BERT = {
    "vocab_size": 400, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
    "max_position_embeddings": 384,
}  # fmt: skip
_GPT2 = {"vocab_size": 451, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 384}
_T5 = {
    "vocab_size": 320, "d_model": 8, "d_kv": 8, "d_ff": 12, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2,
    "relative_attention_num_buckets": 8, "decoder_start_token_id": 0,
}  # fmt: skip
_VIT = {
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12, "image_size": 16,
    "patch_size": 4,
}  # fmt: skip
_IMAGES = {
    "do_resize": True, "size": {"height": 16, "width": 16}, "resample": 2, "do_rescale": True,
    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.3, 0.2],
    "image_processor_type": "ViTImageProcessor",
}  # fmt: skip
_TAGS = ["B-PER", "I-PER", "O", "B-LOC", "I-LOC"]


@dataclasses.dataclass(frozen=True)
class Case:
    """A model, and calls of its pipeline.

    Attributes:
      class_name: of transformers' model; its config is that with the ending "Config".
      tokenizer: a folder of tests/golden/tokenizers; "" of none.
      settings: of the config.
      calls: (input, options) each; of an input that is a dict of question and context, its keywords.
      older: whether it is transformers 4 that is compared with, because only it has such a pipeline.
    """

    task: str
    class_name: str
    config_name: str
    tokenizer: str
    settings: dict[str, Any]
    calls: tuple[tuple[Any, dict[str, Any]], ...]
    older: bool = False


def _image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def _names(*names: str) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


def _bert(task: str, head: str, calls: Any, older: bool = False, **settings: Any) -> Case:
    return Case(task, f"BertFor{head}", "BertConfig", "bert", _BERT | settings, tuple(calls), older)


def _asked(*options: dict[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    texts = [(FOX, "Who jumps?"), (CAFE, "Où est la bibliothèque ?"), (LONG, "What do transformers learn?")]
    examples = [{"question": question, "context": context} for context, question in texts]
    return [(example, option) for option in options for example in examples]


_WINDOWED = {"max_seq_len": 48, "doc_stride": 12}
_NLI = {"candidate_labels": ["animals", "places", "good news"]}
CASES = {
    "classes": _bert(
        "text-classification", "SequenceClassification",
        [
            (TEXTS, {}), (FOX, {}), (FOX, {"top_k": 2}), (TEXTS, {"top_k": None}),
            ({"text": FOX, "text_pair": CAFE}, {}),
            (FOX, {"function_to_apply": "sigmoid", "top_k": 1}), (FOX, {"function_to_apply": "none", "top_k": None}),
        ],
        **_names("bad", "fair", "good"),
    ),
    "several": _bert(
        "text-classification", "SequenceClassification", [(TEXTS, {"top_k": None})], **_names("bad", "good"),
        problem_type="multi_label_classification",
    ),
    "number": _bert(
        "text-classification", "SequenceClassification", [(TEXTS, {})], **_names("grade"), problem_type="regression"
    ),
    "classes_xlnet": Case(
        "text-classification", "XLNetForSequenceClassification", "XLNetConfig", "xlnet",
        {"vocab_size": 330, "d_model": 8, "n_layer": 2, "n_head": 2, "d_inner": 12, **_names("bad", "fair", "good")},
        ((TEXTS, {"top_k": None}), ({"text": FOX, "text_pair": CAFE}, {})),
        older=True,  # transformers 5 forgets the types of XLNet's tokens
    ),
    "entities": _bert(
        "token-classification", "TokenClassification",
        [
            *(
                (TEXTS[1:4], {"aggregation_strategy": s, "ignore_labels": []})
                for s in ("none", "simple", "first", "average", "max")
            ),
            (TEXTS, {}), (TEXTS, {"aggregation_strategy": "simple", "ignore_labels": ["PER"]}),
        ],
        **_names(*_TAGS),
    ),
    "masked": _bert(
        "fill-mask", "MaskedLM",
        [
            ("The quick [MASK] fox.", {}), (["a [MASK] of it", "[MASK] is good, isn't it [MASK]?"], {"top_k": 3}),
            ("The [MASK] fox.", {"targets": ["the", "fox", "over"]}),
            ("The [MASK] fox.", {"targets": "dog", "top_k": 9}),
        ],
    ),
    "masked_roberta": Case(
        "fill-mask", "RobertaForMaskedLM", "RobertaConfig", "roberta",
        {
            **_BERT, "vocab_size": 451, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1,
            "max_position_embeddings": 386,
        },
        ((["The quick <mask> fox.", "a <mask>"], {}), (f"{FOX} <mask> or <mask>", {"top_k": 2})),
    ),
    "states": Case(
        "feature-extraction", "BertModel", "BertConfig", "bert", _BERT, ((FOX, {}), ([FOX, "a"], {}))
    ),
    "continued": Case(
        "text-generation", "GPT2LMHeadModel", "GPT2Config", "gpt2", _GPT2 | {"eos_token_id": 450, "bos_token_id": 450},
        (
            (FOX, {"max_new_tokens": 12, "do_sample": False}),
            (TEXTS[:4], {"max_new_tokens": 8, "do_sample": False, "return_full_text": False}),
            (FOX, {"max_new_tokens": 8, "do_sample": False, "num_beams": 3, "num_return_sequences": 2}),
        ),
    ),
    "continued_xlnet": Case(
        "text-generation", "XLNetLMHeadModel", "XLNetConfig", "xlnet",
        {"vocab_size": 330, "d_model": 8, "n_layer": 2, "n_head": 2, "d_inner": 12},
        # Without the text that transformers puts before short prompts.
        (
            (FOX, {"max_new_tokens": 12, "do_sample": False, "prefix": ""}),
            (TEXTS[:4], {"max_new_tokens": 8, "do_sample": False, "return_full_text": False, "prefix": ""}),
            (FOX, {"max_new_tokens": 8, "do_sample": False, "num_beams": 3, "num_return_sequences": 2, "prefix": ""}),
        ),
        older=True,  # transformers 5 ends prompts, as if they were whole texts
    ),
    "answers": _bert(
        "question-answering", "QuestionAnswering",
        _asked({}, {"handle_impossible_answer": True}, {"align_to_words": False, "max_answer_len": 4}, _WINDOWED),
        older=True,
    ),
    "answers_xlm": Case(
        "question-answering", "XLMRobertaForQuestionAnswering", "XLMRobertaConfig", "xlm_roberta",
        {
            **_BERT, "vocab_size": 330, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1,
            "max_position_embeddings": 386,
        },
        tuple(_asked({"handle_impossible_answer": True}, _WINDOWED)), older=True,
    ),
    "inferred": _bert(
        "zero-shot-classification", "SequenceClassification",
        [
            (FOX, _NLI), (TEXTS[:3], _NLI), (FOX, _NLI | {"multi_label": True}),
            (FOX, {"candidate_labels": "one, two"} | {"hypothesis_template": "It is of {}!"}),
            (FOX, {"candidate_labels": ["alone"]}),
        ],
        older=True, **_names("contradiction", "neutral", "entailment"),
    ),
    "written": Case(
        "text2text-generation", "T5ForConditionalGeneration", "T5Config", "t5", _T5,
        (
            (FOX, {"max_new_tokens": 9}), (TEXTS, {"max_new_tokens": 6}),
            (FOX, {"max_new_tokens": 6, "num_beams": 3, "num_return_sequences": 3}),
        ),
        older=True,
    ),
    "summed": Case(
        "summarization", "BartForConditionalGeneration", "BartConfig", "bart_prefix",
        {
            "vocab_size": 451, "d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
            "decoder_attention_heads": 2, "encoder_ffn_dim": 12, "decoder_ffn_dim": 12, "max_position_embeddings": 384,
            "forced_eos_token_id": 2, "decoder_start_token_id": 2, "num_labels": 3,
        },
        ((FOX, {"max_new_tokens": 9}), (TEXTS, {"max_new_tokens": 6, "num_beams": 2})),
        older=True,
    ),
    "translated": Case(
        "translation", "T5ForConditionalGeneration", "T5Config", "t5", _T5, ((TEXTS, {"max_new_tokens": 6}),),
        older=True,
    ),
    "seen": Case(
        "image-classification", "ViTForImageClassification", "ViTConfig", "", _VIT | _names(*"abcdefg"),
        ((_image(30, 40), {}), ([_image(30, 40), _image(9, 7), _image(16, 16)], {"top_k": 2})),
    ),
    "described": Case(
        "image-to-text", "VisionEncoderDecoderModel", "VisionEncoderDecoderConfig", "gpt2",
        {
            "encoder": {**_VIT, "model_type": "vit"}, "decoder_start_token_id": 450, "eos_token_id": 450,
            "decoder": {
                **_GPT2, "eos_token_id": 450, "bos_token_id": 450, "model_type": "gpt2", "add_cross_attention": True,
                "is_decoder": True,
            },
        },
        ((_image(30, 40), {"max_new_tokens": 7}), ([_image(9, 7), _image(16, 16)], {"max_new_tokens": 5})),
        older=True,
    ),
}  # fmt: skip


def put(name, folder):
    """A case's model and tokenizer, into a folder that is there."""
    shutil.copytree(GOLDEN / "pipelines" / name, folder, dirs_exist_ok=True)
    tokenizer_of(name, folder)
    return folder


def tokenizer_of(name: str, folder: pathlib.Path) -> None:
    """Puts the tokenizer of a case into its folder, or what says how images are read."""
    if CASES[name].task.startswith("image"):
        (folder / "preprocessor_config.json").write_text(json.dumps(_IMAGES))
    if not CASES[name].tokenizer:
        return
    if CASES[name].task == "image-to-text":  # transformers 4 does not find it by the decoder
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    for path in (GOLDEN / "tokenizers" / CASES[name].tokenizer).iterdir():
        if path.name not in ("config.json", "results.json"):
            shutil.copy(path, folder)

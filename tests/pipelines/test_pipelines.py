"""What pipelines promise: results point at the text, long texts are read whole, and mistakes are told."""

import dataclasses
import pathlib
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import t2t
from t2t import pretrained
from t2t.attention import BigBird
from t2t.errors import ConfigError, DataError

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "parity"))

from pipeline_cases import FOX, GOLDEN, LONG, TEXTS, put


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """case → a folder with model and tokenizer."""

    return lambda name: put(name, tmp_path_factory.mktemp(name))


def shorter(folder):
    """The folder with a tokenizer for texts of 40 tokens."""
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "model_max_length": 40}')
    return folder


def local(folder, output):
    """The model, made so that what it says of a token depends on that token alone: its layers add nothing, positions
    and types are all the same."""
    model = pretrained.load(folder)

    def of(path, leaf):
        names = [key.key for key in path]
        still = "out" in names or "positions" in names or "types" in names
        return jnp.zeros_like(leaf) if still and output not in names else leaf

    return dataclasses.replace(model, params=jax.tree_util.tree_map_with_path(of, model.params))


@pytest.mark.parametrize("strategy", ["none", "simple", "first"])
def test_windows_find_the_entities_of_a_single_pass(folder_of, strategy):
    whole, part = (
        t2t.pipeline("token-classification", local(folder, "tagging"), aggregation_strategy=strategy)
        for folder in (folder_of("entities"), shorter(folder_of("entities")))
    )
    found = whole(LONG)
    for stride in (0, 7, None):
        parts = part(LONG, stride=stride)
        assert [{**e, "score": None} for e in parts] == [{**e, "score": None} for e in found]
        np.testing.assert_allclose([e["score"] for e in parts], [e["score"] for e in found], rtol=1e-5)
    assert len(found) > 5


def test_windows_find_the_answer_of_a_single_pass(folder_of):
    model = local(folder_of("answers"), "spans")
    qa = t2t.pipeline("question-answering", model, max_answer_len=6)
    single = qa(question="Who jumps?", context=LONG)
    for size, stride in ((60, 20), (40, 12), (200, 6)):
        found = qa(question="Who jumps?", context=LONG, max_seq_len=size, doc_stride=stride)
        assert found["answer"] == single["answer"]
        assert found["score"] >= single["score"] * 0.999  # among fewer others


@pytest.mark.parametrize("align", [True, False])
def test_answers_are_their_characters_and_each_is_there_once(folder_of, align):
    qa = t2t.pipeline("question-answering", folder_of("answers"), top_k=9, align_to_words=align)
    for context in (text for text in TEXTS if len(text) > 9):
        found = qa(question="Who?", context=context, max_seq_len=48, doc_stride=12)
        assert len(found) == 9
        assert len({(a["start"], a["end"]) for a in found}) == 9
        assert [a["score"] for a in found] == sorted((a["score"] for a in found), reverse=True)
        assert all(a["answer"] == context[a["start"] : a["end"]] for a in found)
        assert all(a["answer"] == a["answer"].strip() != "" for a in found)


def test_nothing_may_be_the_answer(folder_of):
    """The first token is made likelier than all others."""
    model = pretrained.load(folder_of("answers"))
    qa = t2t.pipeline("question-answering", model, handle_impossible_answer=True)
    given = {"question": "Who jumps?", "context": FOX}
    real = model.__class__.__call__

    class Silent(model.__class__):
        def __call__(self, **arguments):
            result = real(self, **arguments)
            for side in ("start_logits", "end_logits"):
                result[side] = result[side].at[:, 0].set(99.0)
            return result

    assert qa(**given)["answer"] != ""
    qa.model = Silent(**{f.name: getattr(model, f.name) for f in dataclasses.fields(model)})
    assert qa(**given) == {"score": pytest.approx(1.0), "start": 0, "end": 0, "answer": ""}
    assert qa(**given, handle_impossible_answer=False)["answer"] != ""


def test_one_question_gives_one_answer_and_a_list_a_list(folder_of):
    qa = t2t.pipeline("question-answering", folder_of("answers"))
    one = qa(question="Who?", context=FOX)
    for many in (qa(question=["Who?"] * 2, context=FOX), qa([{"question": "Who?", "context": FOX}] * 2)):
        assert [answer["answer"] for answer in many] == [one["answer"]] * 2
    assert [answer["start"] for answer in qa(question=["Who?"], context=[FOX])] == [one["start"]]
    assert qa([]) == []


@pytest.mark.parametrize(
    "given", [{"question": "Who?"}, {"question": "", "context": "a"}, {"question": 3, "context": "a"}]
)
def test_a_question_needs_a_context(folder_of, given):
    qa = t2t.pipeline("question-answering", folder_of("answers"))
    with pytest.raises(DataError, match="expected"):
        qa(**given)


def test_a_question_that_leaves_no_room(folder_of):
    qa = t2t.pipeline("question-answering", folder_of("answers"))
    with pytest.raises(DataError, match="leaves room for .*make max_seq_len greater"):
        qa(question=FOX, context=LONG, max_seq_len=20)


def test_entities_are_their_characters(folder_of):
    tagger = t2t.pipeline("ner", folder_of("entities"), aggregation_strategy="first", ignore_labels=[])
    for text, found in zip(TEXTS, tagger(TEXTS)):
        assert "".join(text[e["start"] : e["end"]] for e in found).replace(" ", "") == text.replace(" ", "")
    assert tagger("") == []


def test_a_hypothesis_is_not_cut(folder_of):
    judge = t2t.pipeline("zero-shot-classification", shorter(folder_of("inferred")))
    found = judge(LONG, ["animals", "places"])
    assert sum(found["scores"]) == pytest.approx(1.0)
    assert found == judge([LONG, "b"], ["animals", "places"])[0]


@pytest.mark.parametrize("name", ["continued", "continued_xlnet"])
def test_generation_does_not_depend_on_who_else_is_there(folder_of, name):
    writer = t2t.pipeline("text-generation", folder_of(name), max_new_tokens=6)
    together = writer([FOX, "a", "It is"])
    assert together == [writer(FOX), writer("a"), writer("It is")]
    every = ({"max_new_tokens": None, "max_length": 50}, {"min_length": 9}, {"no_repeat_ngram_size": 2})
    for options in every if name == "continued" else every[:1]:
        assert writer([FOX, "a", "It"], **options) == [writer(text, **options) for text in (FOX, "a", "It")]
    drawn = writer(["a", "a"], do_sample=True, num_return_sequences=2, seed=3)
    assert drawn == writer(["a", "a"], do_sample=True, num_return_sequences=2, seed=3)
    assert len({one["generated_text"] for of_text in drawn for one in of_text}) > 1


def test_a_prompt_may_be_empty(folder_of):
    writer = t2t.pipeline("text-generation", folder_of("continued"), max_new_tokens=4)
    assert writer("")[0]["generated_text"]
    ids = writer("", return_tensors=True)[0]["generated_token_ids"]
    assert ids[0] == 450
    assert len(ids) == 5


def test_what_a_folder_says_of_a_task(folder_of):
    model = pretrained.load(folder_of("written"))
    said = {"translation_en_to_de": {"prefix": "translate: ", "max_length": 4, "unheard_of": 1}}
    model.values["task_specific_params"] = said
    ids = t2t.pipeline("translation_en_to_de", model, return_tensors=True)("a fox")[0]["translation_token_ids"]
    told = t2t.pipeline("translation", model, return_tensors=True, prefix="translate: ", max_length=4)
    assert ids == told("a fox")[0]["translation_token_ids"]
    assert len(ids) == 3


def test_states_of_any_architecture(folder_of):
    for name, width in (("written", 8), ("continued", 8), ("masked", 8)):
        extract = t2t.pipeline("feature-extraction", folder_of(name), return_tensors=True)
        first, second = extract([FOX, "a"])
        assert first.shape[0] == second.shape[0] == 1
        assert first.shape[2] == width
        np.testing.assert_allclose(extract("a"), second, atol=1e-5)


def test_an_unknown_task(folder_of):
    with pytest.raises(ConfigError, match="Unknown task 'question-answer'. Did you mean 'question-answering'"):
        t2t.pipeline("question-answer", folder_of("answers"))


def test_a_model_that_gives_something_else(folder_of):
    needed = r"question-answering needs a model that reads text and gives 'spans' \(as BertForQuestionAnswering\); "
    found = (
        r".* holds an encoder \(bert\) that reads text and gives 'vocabulary'. It fits feature-extraction, fill-mask."
    )
    with pytest.raises(ConfigError, match=needed + found):
        t2t.pipeline("question-answering", folder_of("masked"))
    with pytest.raises(ConfigError, match="text-generation needs a decoder .* It fits .*summarization"):
        t2t.pipeline("text-generation", folder_of("written"))
    with pytest.raises(ConfigError, match="text-classification needs a model that reads text .* reads images"):
        t2t.pipeline("text-classification", folder_of("seen"))
    with pytest.raises(ConfigError, match="model: expected a folder .* found dict"):
        t2t.pipeline("text-classification", {})


def test_a_folder_without_a_tokenizer(folder_of):
    folder = folder_of("masked")
    (folder / "vocab.txt").unlink()
    with pytest.raises(DataError, match="vocab.txt"):
        t2t.pipeline("fill-mask", folder)


def test_an_unknown_option(folder_of):
    with pytest.raises(ConfigError, match="'top_n'.*'top_k'"):
        t2t.pipeline("fill-mask", folder_of("masked"), top_n=3)
    with pytest.raises(ConfigError, match="max_new_token'.*max_new_tokens"):
        t2t.pipeline("text-generation", folder_of("continued"), max_new_token=3)


def test_a_text_without_a_mask(folder_of):
    fill = t2t.pipeline("fill-mask", folder_of("masked"))
    with pytest.raises(DataError, match=r"expected \[MASK\] in every text, found none in 'a fox'"):
        fill(["a [MASK]", "a fox"])


def test_a_tokenizer_without_a_mask(folder_of):
    folder = folder_of("masked")
    shutil.copy(GOLDEN / "tokenizers" / "own" / "tokenizer.json", folder)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(ConfigError, match="fill-mask needs a tokenizer with a mask"):
        t2t.pipeline("fill-mask", folder)


def test_labels_that_do_not_entail(folder_of):
    with pytest.raises(ConfigError, match="begins with 'entail'.* has bad, fair, good: name it in id2label"):
        t2t.pipeline("zero-shot-classification", folder_of("classes"))


def test_a_text_that_is_too_long_is_cut_only_where_that_is_asked(folder_of):
    judge = t2t.pipeline("text-classification", folder_of("classes"))
    with pytest.raises(DataError, match="the model reads 384 at most: give truncation=True"):
        judge(LONG * 9)
    assert judge(LONG * 9, truncation=True)[0]["label"]
    assert judge({"text": LONG * 9, "text_pair": FOX}, truncation=True)["label"]


@pytest.mark.parametrize("given", [3, None, ["a", 3], {"words": "a"}])
def test_what_is_no_text(folder_of, given):
    with pytest.raises(DataError, match="expected"):
        t2t.pipeline("text-classification", folder_of("classes"))(given)


def test_rows_of_molecules_are_not_padded(tmp_path):
    """Padding beside a text would change what its molecules say."""
    shutil.copytree(GOLDEN / "canine_tags", tmp_path, dirs_exist_ok=True)
    shutil.copy(GOLDEN / "tokenizers" / "canine" / "tokenizer_config.json", tmp_path)
    tagger = t2t.pipeline("token-classification", tmp_path, ignore_labels=[])
    texts = ["a fox", "foxes, so", "b"]
    for text, found in zip(texts, tagger(texts)):
        row = tagger.encode(text)
        given = {"input_ids": [row.ids], "token_type_ids": [row.types]}
        scores = jax.nn.softmax(tagger.model(**given).logits[0, 1:-1]).max(axis=-1) if len(row) >= 4 else None
        assert "".join(one["word"] for one in found) == text
        if scores is not None:
            np.testing.assert_allclose([one["score"] for one in found], scores, atol=1e-5)


def test_rows_of_blocks_have_the_blocks_that_they_have_alone(folder_of):
    pipe = t2t.pipeline("fill-mask", folder_of("masked"))
    blocks = BigBird(block=8, random=1)  # rows of 56 and less have none
    pipe.model = dataclasses.replace(pipe.model, config=dataclasses.replace(pipe.model.config, attention=blocks))
    assert [pipe.length_of(range(n)) for n in (3, 17, 33, 56, 57, 65, 380)] == [8, 32, 56, 56, 64, 72, 384]

"""T5's tasks and mixtures, by T5's names, with its text and its metrics (Raffel et al. 2020). They are read from
TFDS."""

from t2t.data.sources import TfdsSource
from t2t.tasks.formats import answers, generation, labels, pronouns
from t2t.tasks.mixture import Mixture
from t2t.tasks.objective import Objective
from t2t.tasks.registry import register
from t2t.tasks.task import Task

ENTAILMENT2 = ("entailment", "not_entailment")
ENTAILMENT3 = ("entailment", "neutral", "contradiction")
TRAIN, VALIDATION, TEST = ({name: name} for name in ("train", "validation", "test"))
ALL = TRAIN | VALIDATION | TEST

# name → (the word that begins the inputs, labels, features, metrics, splits); features () are all, sorted by name.
GLUE = {
    "cola": ("cola", ("unacceptable", "acceptable"), (), ("matthews",), ALL),
    "sst2": ("sst2", ("negative", "positive"), (), ("accuracy",), ALL),
    "mrpc": ("mrpc", ("not_equivalent", "equivalent"), (), ("f1", "accuracy"), ALL),
    "qqp": ("qqp", ("not_duplicate", "duplicate"), (), ("f1", "accuracy"), ALL),
    "mnli": (
        "mnli",
        ENTAILMENT3,
        (),
        ("accuracy",),
        TRAIN | {n: n for n in ("validation_matched", "validation_mismatched", "test_matched", "test_mismatched")},
    ),
    "mnli_matched": ("mnli", ENTAILMENT3, (), ("accuracy",), VALIDATION | TEST),
    "mnli_mismatched": ("mnli", ENTAILMENT3, (), ("accuracy",), VALIDATION | TEST),
    "qnli": ("qnli", ENTAILMENT2, (), ("accuracy",), ALL),
    "rte": ("rte", ENTAILMENT2, (), ("accuracy",), ALL),
    "wnli": ("wnli", ("not_entailment", "entailment"), (), ("accuracy",), ALL),
    "ax": ("mnli", ENTAILMENT3, (), (), TEST),
}
SUPER_GLUE = {
    "boolq": ("boolq", ("False", "True"), (), ("accuracy",), ALL),
    "cb": ("cb", ("entailment", "contradiction", "neutral"), (), ("mean_3_class_f1", "accuracy"), ALL),
    "copa": ("copa", ("choice1", "choice2"), (), ("accuracy",), ALL),
    "rte": ("rte", ENTAILMENT2, (), ("accuracy",), ALL),
    "wic": ("wic", ("False", "True"), ("sentence1", "sentence2", "word"), ("accuracy",), ALL),
    "axg": ("rte", ENTAILMENT2, (), (), TEST),
}
# Numbers of training examples, T5's rates; 0 is evaluated and not trained on. WNLI is not among them: WSC and DPR are.
GLUE_RATES = {
    "cola": 8_551,
    "sst2": 67_349,
    "mrpc": 3_668,
    "qqp": 363_849,
    "stsb": 5_749,
    "mnli": 392_702,
    "qnli": 104_743,
    "rte": 2_490,
    "mnli_mismatched": 0,
    "mnli_matched": 0,
    "ax": 0,
}
SUPER_GLUE_RATES = {
    "dpr_v001_simple": 1_322,
    "super_glue_wsc_v102_simple_train": 259,
    "super_glue_wsc_v102_simple_eval": 0,
    "super_glue_boolq_v102": 9_427,
    "super_glue_cb_v102": 250,
    "super_glue_copa_v102": 400,
    "super_glue_multirc_v102": 27_243,
    "super_glue_record_v102": 138_854,
    "super_glue_rte_v102": 2_490,
    "super_glue_wic_v102": 5_428,
    "super_glue_axb_v102": 0,
    "super_glue_axg_v102": 0,
}


def _labelled(name: str, dataset: str, row: tuple) -> Task:
    word, names, features, metrics, splits = row
    return Task(
        name=name,
        source=TfdsSource(dataset, splits),
        preprocessors=(labels.Labelled(word, names, features),),
        metrics=metrics,
        postprocess=labels.LabelIndex(names),
        labels=names,
        evaluation_split="validation_matched" if "validation_matched" in splits else "validation",
    )


for _name, _row in GLUE.items():
    register(_labelled(f"glue_{_name}_v002", f"glue/{_name}:2.0.0", _row))
register(
    Task(
        name="glue_stsb_v002",
        source=TfdsSource("glue/stsb:2.0.0", ALL),
        preprocessors=(labels.stsb,),
        metrics=("pearson", "spearman"),
        postprocess=labels.number,
    )
)
register(
    Task(
        name="glue_wnli_v002_simple_eval",
        source=TfdsSource("glue/wnli:2.0.0", VALIDATION | TEST),
        preprocessors=(pronouns.wnli,),
        metrics=("accuracy",),
        postprocess=pronouns.referent_found,
    )
)

for _name, _row in SUPER_GLUE.items():
    register(_labelled(f"super_glue_{_name}_v102", f"super_glue/{_name}:1.0.2", _row))
register(
    Task(
        name="super_glue_axb_v102",
        source=TfdsSource("super_glue/axb:1.0.2", TEST),
        preprocessors=(labels.axb, labels.Labelled("rte", ENTAILMENT2)),
        postprocess=labels.LabelIndex(ENTAILMENT2),
        labels=ENTAILMENT2,
    )
)
register(
    Task(
        name="super_glue_multirc_v102",
        source=TfdsSource("super_glue/multirc:1.0.2", ALL),
        preprocessors=(labels.multirc,),
        metrics=("multirc_f1", "multirc_exact"),
        postprocess=labels.multirc_value,
        labels=("False", "True"),
    )
)
register(
    Task(
        name="super_glue_record_v102",
        source=TfdsSource("super_glue/record:1.0.2", ALL),
        expand=answers.record_answers,
        preprocessors=(answers.record,),
        metrics=("record",),
        postprocess=answers.record_value,
    )
)
register(
    Task(
        name="super_glue_wsc_v102_simple_train",
        source=TfdsSource("super_glue/wsc.fixed:1.0.2", TRAIN),
        preprocessors=(pronouns.wsc_correct,),
    )
)
register(
    Task(
        name="super_glue_wsc_v102_simple_eval",
        source=TfdsSource("super_glue/wsc.fixed:1.0.2", VALIDATION | TEST),
        preprocessors=(pronouns.wsc,),
        metrics=("accuracy",),
        postprocess=pronouns.referent_found,
    )
)
register(
    Task(
        name="dpr_v001_simple",
        source=TfdsSource("definite_pronoun_resolution:1.1.0", TRAIN | TEST),
        preprocessors=(pronouns.definite_pronoun,),
        metrics=("accuracy",),
        evaluation_split="test",
    )
)

register(
    Task(
        name="squad_v010_allanswers",
        source=TfdsSource("squad/v1.1:3.0.0", TRAIN | VALIDATION),
        preprocessors=(answers.squad,),
        metrics=("squad",),
        postprocess=answers.all_answers,
    )
)
register(
    Task(
        name="cnn_dailymail_v002",
        source=TfdsSource("cnn_dailymail:3.4.0", ALL),
        metrics=("rouge",),
        preprocessors=(generation.summarise,),
    )
)
for _name, _dataset, _target in (
    ("wmt_t2t_ende_v003", "wmt_t2t_translate/de-en:1.0.0", "de"),
    ("wmt14_ende_v003", "wmt14_translate/de-en:1.0.0", "de"),
    ("wmt14_enfr_v003", "wmt14_translate/fr-en:1.0.0", "fr"),
    ("wmt15_enfr_v003", "wmt15_translate/fr-en:1.0.0", "fr"),
    ("wmt16_enro_v003", "wmt16_translate/ro-en:1.0.0", "ro"),
):
    register(
        Task(
            name=_name,
            source=TfdsSource(_dataset, ALL),
            preprocessors=(generation.Translate("en", _target),),
            metrics=("bleu_intl",),
        )
    )
for _name, _kind in (
    ("c4_v220_span_corruption", "span_corruption"),
    ("c4_v220_prefix_lm", "prefix_lm"),
    ("c4_v220_full_lm", "causal_lm"),
):
    register(
        Task(
            name=_name,
            source=TfdsSource("c4/en:2.2.0", TRAIN | VALIDATION),
            preprocessors=(generation.plain_text,),
            objective=Objective(kind=_kind, documents=True),
        )
    )

GLUE_NAMES = tuple(f"glue_{name}_v002" for name in GLUE_RATES)
register(Mixture(name="glue_v002_proportional", members=GLUE_NAMES, rates=tuple(map(float, GLUE_RATES.values()))))
register(
    Mixture(
        name="super_glue_v102_proportional",
        members=tuple(SUPER_GLUE_RATES),
        rates=tuple(map(float, SUPER_GLUE_RATES.values())),
    )
)
# Every supervised task by its number of examples, of which at most 2^19 count (section 3.5.2). RTE is in both suites,
# so each of them has half of it.
_HALVED = {"glue_rte_v002", "super_glue_rte_v102"}
_TRAINED = {
    **dict(zip(GLUE_NAMES, GLUE_RATES.values())),
    **SUPER_GLUE_RATES,
    "cnn_dailymail_v002": 287_113,
    "squad_v010_allanswers": 87_599,
    "wmt_t2t_ende_v003": 4_592_289,
    "wmt15_enfr_v003": 40_853_137,
    "wmt16_enro_v003": 610_320,
}
register(
    Mixture(
        name="t5_supervised_proportional",
        members=tuple(_TRAINED),
        rates=tuple(min(count, 2.0**19) * (0.5 if name in _HALVED else 1.0) for name, count in _TRAINED.items()),
    )
)

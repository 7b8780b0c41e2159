"""What BERT and its kin call the parts of a model in their folders: data."""

import dataclasses

from t2t.families.heads import Head, Outputs, classes


@dataclasses.dataclass(frozen=True)
class Names:
    """The names of a family; those of a layer's parts come after its own, which has the layer's number.

    Attributes:
      trunk: before all but the head.
      layer: before the parts of a layer.
      attention: queries, keys, values, out.
      norms: after attention and after the feed-forward.
      feed_forward: in and out.
      projection: from the embeddings' width to the model's.
      predictions: of the masked language model: the dense layer, its norm, and the bias of the logits.
      heads: of each output, or of each set of them.
      classes: of transformers, with their outputs.
    """

    trunk: str
    layer: str
    attention: tuple[str, ...]
    norms: tuple[str, str]
    feed_forward: tuple[str, str]
    projection: str
    predictions: tuple[str, str, str]
    heads: dict[Outputs, Head]
    classes: dict[str, Outputs]


def _berts(trunk: str, predictions: tuple[str, str, str], heads: dict[Outputs, Head], known: dict) -> Names:
    names = ("self.query", "self.key", "self.value", "output.dense")
    return Names(
        trunk=trunk,
        layer=f"{trunk}.encoder.layer.{{i}}",
        attention=tuple(f"attention.{name}" for name in names),
        norms=("attention.output.LayerNorm", "output.LayerNorm"),
        feed_forward=("intermediate.dense", "output.dense"),
        projection="embeddings_project",
        predictions=predictions,
        heads=heads,
        classes=known,
    )


def _heads(**changed: Head) -> dict[Outputs, Head]:
    """Of single outputs: the usual names, and those that differ."""
    usual = {name: Head("classifier") for name in ("sequence", "choice", "tagging")} | {"spans": Head("qa_outputs")}
    return {("vocabulary",): Head(), (): Head()} | {(name,): head for name, head in (usual | changed).items()}


def _pooled(pooler: str, pair: str) -> dict[Outputs, Head]:
    """With BERT's pooler under everything that is said of a whole sequence."""
    told = Head("classifier", pooler)
    heads = _heads(sequence=told, choice=told, pair=Head(pair, pooler))
    return heads | {(): Head("", pooler, optional=True), ("vocabulary", "pair"): Head(pair, pooler)}


_BERT = _berts(
    "bert",
    ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"),
    _pooled("bert.pooler.dense", "cls.seq_relationship"),
    classes("Bert", ForPreTraining=("vocabulary", "pair"), ForNextSentencePrediction=("pair",)),
)
_ROBERTA_HEADS = _heads(
    sequence=Head("classifier.out_proj", "classifier.dense"), choice=Head("classifier", "roberta.pooler.dense")
) | {(): Head("", "roberta.pooler.dense", optional=True)}
_ROBERTA_PREDICTIONS = ("lm_head.dense", "lm_head.layer_norm", "lm_head.bias")
_ELECTRA = _berts(
    "electra",
    ("generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head.bias"),
    _heads(
        sequence=Head("classifier.out_proj", "classifier.dense", "gelu"),
        choice=Head("classifier", "sequence_summary.summary", "gelu"),
        replaced=Head("discriminator_predictions.dense_prediction", transform="discriminator_predictions.dense"),
    ),
    classes("Electra", ForPreTraining=("replaced",)),
)
_LONGFORMER_HEADS = _heads(
    sequence=Head("classifier.out_proj", "classifier.dense"), choice=Head("classifier", "longformer.pooler.dense")
) | {(): Head("", "longformer.pooler.dense", optional=True)}
_BIG_BIRD_HEADS = _heads(  # most classes have the pooler, whether anything is read off it or not
    vocabulary=Head("", "bert.pooler", optional=True),
    sequence=Head("classifier.out_proj", "classifier.dense"),
    choice=Head("classifier", "bert.pooler"),
    tagging=Head("classifier", "bert.pooler", optional=True),
    spans=Head("qa_classifier.qa_outputs"),
) | {(): Head("", "bert.pooler", optional=True), ("vocabulary", "pair"): Head("cls.seq_relationship", "bert.pooler")}
_DISTILLED = Head("classifier", "pre_classifier", "relu")
NAMES = {
    "bert": _BERT,
    "roberta": _berts("roberta", _ROBERTA_PREDICTIONS, _ROBERTA_HEADS, classes("Roberta")),
    "xlm-roberta": _berts("roberta", _ROBERTA_PREDICTIONS, _ROBERTA_HEADS, classes("XLMRoberta")),
    "electra": _ELECTRA,
    "longformer": _berts("longformer", _ROBERTA_PREDICTIONS, _LONGFORMER_HEADS, classes("Longformer")),
    "big_bird": _berts(
        "bert", _BERT.predictions, _BIG_BIRD_HEADS, classes("BigBird", ForPreTraining=("vocabulary", "pair"))
    ),
    "albert": Names(
        trunk="albert",
        layer="albert.encoder.albert_layer_groups.{group}.albert_layers.{inner}",
        attention=tuple(f"attention.{name}" for name in ("query", "key", "value", "dense")),
        norms=("attention.LayerNorm", "full_layer_layer_norm"),
        feed_forward=("ffn", "ffn_output"),
        projection="encoder.embedding_hidden_mapping_in",
        predictions=("predictions.dense", "predictions.LayerNorm", "predictions.bias"),
        heads=_pooled("albert.pooler", "sop_classifier.classifier"),
        classes=classes("Albert", ForPreTraining=("vocabulary", "pair")),
    ),
    "distilbert": Names(
        trunk="distilbert",
        layer="distilbert.transformer.layer.{i}",
        attention=("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
        norms=("sa_layer_norm", "output_layer_norm"),
        feed_forward=("ffn.lin1", "ffn.lin2"),
        projection="",
        predictions=("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
        heads=_heads(sequence=_DISTILLED, choice=_DISTILLED),
        classes=classes("DistilBert"),
    ),
}

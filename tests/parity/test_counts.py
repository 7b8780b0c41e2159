"""Every published size has as many parameters as transformers counts for the config.json that is written of it."""

import pytest
from family_of import PUBLIC_SIZES, family_of

from t2t import families
from t2t.families.heads import named_labels
from t2t.models import param_count


@pytest.mark.pytorch
@pytest.mark.parametrize("size", PUBLIC_SIZES)
def test_transformers_counts_as_many(size):
    import torch
    import transformers

    config, family = families.get(size), family_of(size)
    values = family.write(config) | named_labels(config, {})
    if not hasattr(transformers, values["architectures"][0]):
        pytest.skip(f"this release has no {values['architectures'][0]}")
    theirs = transformers.AutoConfig.for_model(family.name, **values)
    with torch.device("meta"):
        model = getattr(transformers, values["architectures"][0])(theirs)
    sinusoids = sum(p.numel() for n, p in model.named_parameters() if not p.requires_grad)
    bias = config.vocab_size if config.architecture == "encoder-decoder" and config.logits_bias else 0  # a buffer there
    untied = 0 if config.tie_logits else config.vocab_size * config.width  # this release ties T5's always
    assert sum(p.numel() for p in model.parameters()) - sinusoids == param_count(config) - bias - untied

"""The published sizes have the published numbers of parameters, without allocating one."""

import dataclasses

import pytest

from t2t import families
from t2t.errors import ConfigError
from t2t.models import param_count

# Exact: what the Hugging Face classes count for the published configs (tests/parity/test_counts.py asks them).
EXACT = {
    "t5_small": 60_506_624,
    "t5_base": 222_903_552,
    "t5_large": 737_668_096,
    "t5_3b": 2_851_598_336,
    "t5_11b": 11_307_321_344,
    "t5_v1_1_small": 76_961_152,
    "t5_v1_1_base": 247_577_856,
    "t5_v1_1_large": 783_150_080,
    "t5_v1_1_xl": 2_849_757_184,
    "t5_v1_1_xxl": 11_135_332_352,
    "mt5_small": 300_176_768,
    "mt5_base": 582_401_280,
    "mt5_large": 1_229_581_312,
    "mt5_xl": 3_742_619_648,
    "mt5_xxl": 12_921_057_280,
    "byt5_small": 299_637_760,
    "byt5_base": 581_653_248,
    "byt5_large": 1_228_183_552,
    "byt5_xl": 3_737_801_728,
    "byt5_xxl": 12_906_899_328,
    "umt5_small": 306_601_984,
    "umt5_base": 592_043_520,
    "umt5_xl": 3_768_356_864,
    "umt5_xxl": 12_972_531_712,
    "long_t5_local_base": 247_577_856,
    "long_t5_local_large": 783_150_080,
    "long_t5_tglobal_base": 247_587_456,
    "long_t5_tglobal_large": 783_175_168,
    "long_t5_tglobal_xl": 2_849_807_360,
    "openai_gpt": 116_534_784,
    "gpt2_small": 124_439_808,
    "gpt2_medium": 354_823_168,
    "gpt2_large": 774_030_080,
    "gpt2_xl": 1_557_611_200,
    "gpt_neo_125m": 125_198_592,
    "gpt_neo_1_3b": 1_315_575_808,
    "gpt_neo_2_7b": 2_651_307_520,
    "longformer_base_4096": 148_711_257,
    "longformer_large_4096": 434_653_273,
    "bigbird_roberta_base": 128_111_286,
    "bigbird_roberta_large": 360_225_974,
    "bert_base": 109_514_298,
    "bert_large": 335_174_458,
    "roberta_base": 124_697_433,
    "roberta_large": 355_412_057,
    "xlm_roberta_base": 278_295_186,
    "xlm_roberta_large": 560_142_482,
    "distilbert_base": 66_985_530,
    "electra_small_generator": 13_546_682,
    "electra_base_generator": 33_740_602,
    "electra_large_generator": 51_295_290,
    "electra_small": 13_549_057,
    "electra_base": 109_483_009,
    "electra_large": 335_142_913,
    "albert_base": 11_221_680,
    "albert_large": 16_795_824,
    "albert_xlarge": 54_821_040,
    "albert_xxlarge": 206_368_944,
    "xlnet_base": 116_750_336,
    "xlnet_large": 360_300_800,
    "transfo_xl_wt103": 285_205_322,
    "vit_base_patch16_224": 86_567_656,
    "vit_large_patch16_224": 304_326_632,
    "vit_huge_patch14_224": 632_045_800,
    "vision_encoder_decoder_vit_gpt2": 239_195_904,
    "canine_s": 132_082_944,
    "canine_c": 132_082_944,
    "deberta_base": 139_244_121,
    "deberta_large": 406_264_921,
    "deberta_xlarge": 758_905_945,
    "deberta_v2_xlarge": 887_085_156,
    "deberta_v2_xxlarge": 1_567_041_636,
    "deberta_v3_xsmall": 70_958_820,
    "deberta_v3_small": 142_024_548,
    "deberta_v3_base": 184_551_780,
    "deberta_v3_large": 435_191_908,
    "mdeberta_v3_base": 279_061_880,
    # With the bias of the logits, which is a buffer there.
    "bart_base": 139_420_416 + 50_265,
    "bart_large": 406_291_456 + 50_265,
    "mbart_large": 610_851_840 + 250_027,
    "pegasus_large": 568_699_904 + 96_103,
    "marian_en_de": 73_886_208 + 58_101,
}
# As the papers print them, in millions; GPT-3's count neither position tables nor always the same rounding.
PRINTED = {
    "transformer_base": 65,
    "transformer_big": 213,
    "gpt3_125m": 125,
    "gpt3_350m": 350,
    "gpt3_760m": 760,
    "gpt3_1_3b": 1_300,
    "gpt3_2_7b": 2_700,
    "gpt3_6_7b": 6_700,
    "gpt3_13b": 13_000,
    "gpt3_175b": 175_000,
}


def test_every_size_is_in_a_table():
    assert set(families.SIZES) == set(EXACT) | set(PRINTED)


@pytest.mark.parametrize("name", EXACT)
def test_exact_counts(name):
    assert param_count(families.get(name)) == EXACT[name]


@pytest.mark.parametrize("name", PRINTED)
def test_printed_counts(name):
    assert param_count(families.get(name)) == pytest.approx(PRINTED[name] * 1e6, rel=0.035)


def test_scanning_changes_no_count():
    config = families.get("t5_v1_1_small")
    assert param_count(dataclasses.replace(config, stacking="scanned")) == EXACT["t5_v1_1_small"]


def test_unknown_names_are_near_something():
    with pytest.raises(ConfigError, match="Did you mean 't5_v1_1_base'"):
        families.get("t5_v1.1_base")

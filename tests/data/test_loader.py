"""The loader: the same batches from any position, on any number of hosts, with or without workers."""

import numpy as np
import pytest

from t2t.data import DataConfig
from t2t.data.converters import EncoderDecoderConverter
from t2t.data.loader import Layout, Loader, evaluation_batches, merge_positions
from t2t.data.stream import Part, make_streams
from t2t.errors import ConfigError, DataError

CONVERTER = EncoderDecoderConverter(inputs_length=16, targets_length=8)
LAYOUTS = {"plain": dict(packing=False), "packed": dict(packing=True), "buckets": dict(packing=False, buckets=(4, 8))}


class Numbers:
    """Examples that are functions of their index, as dicts of random tokens."""

    def __init__(self, count, offset):
        self.count, self.offset = count, offset

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        generator = np.random.default_rng(int(i) + self.offset)
        return {
            "inputs": generator.integers(3, 50, generator.integers(1, 9)),
            "targets": generator.integers(3, 50, generator.integers(1, 6)),
        }


def keep(example, generator):
    return None if len(example["inputs"]) == 3 else dict(example)


def loader(layout, shards=1, **arguments):
    parts = [Part(Numbers(50, 0), keep, 1.0), Part(Numbers(70, 1000), keep, 3.0)]
    made = Layout(converter=CONVERTER, batch_size=4, **LAYOUTS[layout])
    return Loader(make_streams(parts, seed=0, shards=shards), made, **arguments)


def take(made, count):
    with made:
        return [next(made) for _ in range(count)]


def assert_same(a, b):
    assert a[1] == b[1]
    for name in a[0]:
        np.testing.assert_array_equal(a[0][name], b[0][name])


@pytest.mark.parametrize(
    ("layout", "shards"), [("plain", 1), ("plain", 2), ("packed", 1), ("packed", 2), ("buckets", 1)]
)
def test_goes_on_exactly_from_every_position(layout, shards):
    reference = take(loader(layout, shards), 24)
    for k in (1, 2, 5, 15, 16, 17, 22):
        assert_same(take(loader(layout, shards, start=reference[k - 1][1]), 1)[0], reference[k])


@pytest.mark.parametrize(("layout", "shards"), [("plain", 1), ("packed", 2), ("packed", 4), ("buckets", 1)])
@pytest.mark.parametrize("hosts", [2, 4])
def test_the_number_of_hosts_changes_nothing(layout, shards, hosts):
    reference = take(loader(layout, shards), 10)
    parts = [take(loader(layout, shards, host=h, hosts=hosts), 10) for h in range(hosts)]
    for i, (batch, position) in enumerate(reference):
        whole = {name: np.concatenate([p[i][0][name] for p in parts]) for name in batch}
        assert_same((whole, merge_positions([p[i][1] for p in parts])), (batch, position))


@pytest.mark.parametrize("layout", ["packed", "buckets"])
def test_workers_change_nothing(layout):
    reference = take(loader(layout), 8)
    for a, b in zip(take(loader(layout, workers=2), 8), reference):
        assert_same(a, b)


def test_statistics_count_what_was_read():
    made = loader("packed")
    batches = take(made, 12)
    statistics = made.statistics
    assert statistics.filtered > 0
    assert statistics.tokens >= sum(
        int((b["encoder_segments"] > 0).sum() + (b["decoder_segments"] > 0).sum()) for b, _ in batches
    )
    assert 0.5 < statistics.efficiency <= 1.0
    assert statistics.examples > 4 * 12  # packing puts several into a row


def long_examples(too_long):
    class Long(Numbers):
        def __getitem__(self, i):
            return {"inputs": np.arange(3, 3 + (40 if i % 2 else 5)), "targets": np.asarray([9, 1])}

    layout = Layout(converter=CONVERTER, batch_size=2, packing=False, too_long=too_long)
    return Loader(make_streams([Part(Long(10, 0), lambda e, g: e)], seed=0), layout)


def test_what_is_too_long_is_counted_cut_skipped_or_an_error():
    made = long_examples("trim")
    batches = take(made, 10)
    assert made.statistics.too_long > 0
    longest = max(int((b["encoder_segments"] > 0).sum(1).max()) for b, _ in batches)
    assert longest == 16
    assert any(row[15] == 42 for b, _ in batches for row in b["encoder_inputs"])  # its last token is kept
    skipping = long_examples("skip")
    assert max(int((b["encoder_segments"] > 0).sum(1).max()) for b, _ in take(skipping, 10)) == 5
    assert skipping.statistics.too_long > 0
    with pytest.raises(DataError, match=r"40 and 2 tokens, more than the limit of 16 and 8.*inputs_length"):
        take(long_examples("error"), 10)


def test_errors_of_the_data_reach_the_consumer():
    def broken(example, generator):
        raise DataError("line 7 is malformed")

    with pytest.raises(DataError, match="line 7 is malformed"):
        take(
            Loader(
                make_streams([Part(Numbers(5, 0), broken)], seed=0),
                Layout(converter=CONVERTER, batch_size=2, packing=True),
            ),
            1,
        )


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(DataError, match="4 rows does not divide among 3 hosts"):
        loader("plain", hosts=3)
    with pytest.raises(DataError, match="2 shards, found data.shards 1"):
        loader("plain", start=[[0, 0], [0, 0]])


@pytest.mark.parametrize("rates", [(1.0, 3.0), (0.2, 0.5, 0.3), (1.0, 1.0, 1.0)])
def test_any_stretch_of_the_stream_is_mixed_by_rate(rates):
    parts = [
        Part([{"part": i, "n": n} for n in range(7 + i)], lambda e, g: dict(e), rate) for i, rate in enumerate(rates)
    ]
    (stream,) = make_streams(parts, seed=3)
    drawn = np.asarray([stream[i]["part"] for i in range(600)])
    for i, rate in enumerate(rates):
        share = rate / sum(rates)
        counts = np.concatenate([[0], np.cumsum(drawn == i)])
        for width in (10, 100, 500):
            found = counts[width:] - counts[:-width]
            assert np.abs(found - share * width).max() <= len(rates)
    own = [stream[i]["n"] for i in range(600) if stream[i]["part"] == 0]
    assert sorted(own[:7]) == list(range(7))  # an epoch has every example once
    assert own[:7] != own[7:14]  # and the next another order


def test_evaluation_sees_every_example_once():
    examples = [Numbers(23, 0)[i] for i in range(23)]
    seen = []
    for batch, indices in evaluation_batches(examples, CONVERTER, batch_size=5, buckets=(4, 8)):
        assert batch["encoder_inputs"].shape[0] == 5
        assert (batch["loss_weights"][len(indices) :] == 0).all()
        for row, i in enumerate(indices):
            n = len(examples[i]["inputs"])
            np.testing.assert_array_equal(batch["encoder_inputs"][row, :n], examples[i]["inputs"])
        seen += indices
    assert sorted(seen) == list(range(23))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"buckets": (8,), "packing": True}, "packing and buckets"),
        ({"buckets": (8, 4), "packing": False}, "increasing"),
        ({"buckets": (8,), "packing": False, "shards": 2}, "set shards to 1"),
        ({"format": "xls"}, "Unknown format 'xls'"),
        ({"validation": "a.tsv"}, "train names none"),
        ({"train": "a.tsv", "targets": ""}, "targets: expected the column"),
    ],
)
def test_impossible_configs_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        DataConfig(**change)

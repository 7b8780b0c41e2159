"""Rows that read documents in consecutive segments: nothing is lost, nothing depends on where or how it is read."""

import numpy as np
import pytest

from t2t.data import DataConfig
from t2t.data.consecutive import Rows, SegmentConverter
from t2t.data.loader import Layout, Loader, merge_positions
from t2t.data.stream import Part, make_streams
from t2t.errors import ConfigError

LENGTH = 7


class Documents:
    """Documents of 1 to 30 tokens, some of them left out, that begin with their own number."""

    def __len__(self):
        return 23

    def __getitem__(self, i):
        generator = np.random.default_rng(int(i))
        return {"targets": np.asarray([1000 + i, *generator.integers(1, 999, generator.integers(0, 30))], np.int32)}


def keep(example, generator):
    return None if len(example["targets"]) == 5 else example


def loader(shards=1, **arguments):
    streams = make_streams([Part(Documents(), keep)], seed=0, shards=shards)
    layout = Layout(converter=SegmentConverter(length=LENGTH), batch_size=4, packing=False, consecutive=True)
    return Loader(streams, layout, **arguments)


def take(made, count):
    with made:
        return [next(made) for _ in range(count)]


def assert_same(a, b):
    assert a[1] == b[1]
    for name in a[0]:
        np.testing.assert_array_equal(a[0][name], b[0][name])


@pytest.mark.parametrize("shards", [1, 2])
def test_a_row_reads_whole_documents_one_after_the_other(shards):
    batches = [batch for batch, _ in take(loader(shards), 40)]
    rows = {name: np.concatenate([b[name] for b in batches], axis=1) for name in batches[0]}
    assert rows["targets"].shape == (4, 40 * LENGTH)
    assert (rows["loss_weights"] == 1).all()
    beginnings = set()
    for r in range(4):
        segments, targets = rows["decoder_segments"][r], rows["targets"][r]
        cuts = np.flatnonzero(np.diff(segments)) + 1
        assert len(cuts) > 10
        for i, document in enumerate(np.split(targets, cuts)):
            whole = Documents()[document[0] - 1000]["targets"]
            assert len(whole) != 5  # those are left out
            last = i == len(cuts)
            np.testing.assert_array_equal(document, whole[: len(document)] if last else whole)
            beginnings.add(document[0])
        for name, wanted in (
            ("decoder_inputs", [np.r_[0, d[:-1]] for d in np.split(targets, cuts)]),
            ("decoder_positions", [np.arange(len(d)) for d in np.split(targets, cuts)]),
        ):
            np.testing.assert_array_equal(rows[name][r], np.concatenate(wanted))
        assert (segments > 0).all()
        assert len({segments[0], *segments[cuts]}) == len(cuts) + 1
    assert len(beginnings) == sum(len(Documents()[i]["targets"]) != 5 for i in range(23))


@pytest.mark.parametrize("shards", [1, 2])
def test_goes_on_exactly_from_every_position(shards):
    reference = take(loader(shards), 20)
    for k in (1, 2, 5, 11, 17, 19):
        assert_same(take(loader(shards, start=reference[k - 1][1]), 1)[0], reference[k])


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("hosts", [2, 4])
def test_the_number_of_hosts_changes_nothing(shards, hosts):
    reference = take(loader(shards), 12)
    parts = [take(loader(shards, host=h, hosts=hosts), 12) for h in range(hosts)]
    for i, (batch, position) in enumerate(reference):
        whole = {name: np.concatenate([p[i][0][name] for p in parts]) for name in batch}
        assert_same((whole, merge_positions([p[i][1] for p in parts])), (batch, position))


def test_workers_change_nothing():
    for a, b in zip(take(loader(workers=2), 8), take(loader(), 8)):
        assert_same(a, b)


def test_statistics_count_what_was_read():
    made = loader()
    take(made, 12)
    assert made.statistics.filtered > 0
    assert made.statistics.efficiency == 1.0


@pytest.mark.parametrize("change", [{"packing": True}, {"packing": False, "buckets": (8,)}])
def test_packing_and_buckets_are_refused(change):
    with pytest.raises(ConfigError, match="set packing to False and buckets to"):
        DataConfig(consecutive=True, **change)


@pytest.mark.parametrize("start_id", [None, 5])
def test_documents_begin_with_themselves_or_with_a_start_id(start_id):
    """Documents of which nothing is left to predict are passed over."""
    documents = [np.arange(10 * i, 10 * i + n, dtype=np.int32) for i, n in ((1, 4), (2, 1), (3, 0), (4, 6))]
    stream = iter(enumerate(documents))
    converter = SegmentConverter(length=3, start_id=start_id)
    reader = Rows(converter, lambda: next(stream, None), [(-1, 0)], documents.__getitem__)
    batches = []
    while any(pieces := reader.next()):
        batches.append(converter(pieces, (3,)))
        # As after an interruption: the places say it all.
        reader = Rows(converter, lambda: next(stream, None), reader.places, documents.__getitem__)
    rows = {name: np.concatenate([b[name][0] for b in batches]) for name in batches[0]}
    real = rows["decoder_segments"] > 0
    start = [] if start_id is None else [start_id]
    whole = [[*start, *d.tolist()] for d in documents]
    assert rows["decoder_inputs"][real].tolist() == [t for w in whole for t in w[:-1]]
    assert rows["targets"][real].tolist() == [t for w in whole for t in w[1:]]
    assert rows["decoder_positions"][real].tolist() == [i for w in whole for i in range(len(w) - 1)]

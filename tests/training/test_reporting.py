"""What is written while a run goes on, and drawn from it."""

import json

from t2t.training.reporting import Reporter, draw_curves, drop_lines_after, read_metrics


def test_lines_after_the_checkpoint_and_cut_ones_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.5}\n{"step": 3, "loss": 1.0}\n{"step": 4, "lo')
    drop_lines_after(path, 2)
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2]
    drop_lines_after(tmp_path / "none.jsonl", 2)
    assert not (tmp_path / "none.jsonl").exists()


def test_a_run_that_goes_on_writes_after_what_is_kept(tmp_path, capsys):
    for first, last in ((0, 5), (3, 6)):  # the second begins at the checkpoint of step 3
        reporter = Reporter(tmp_path, 6, first)
        for step in range(first + 1, last + 1):
            reporter.write(step, {"loss": 10.0 * first + step})
            reporter.progress(step, {"loss": 1.0, "tokens_per_second": 1234.0, "mfu": 0.25})
        reporter.close()
    assert [(line["step"], line["loss"]) for line in read_metrics(tmp_path)] == [
        (1, 1.0),
        (2, 2.0),
        (3, 3.0),
        (4, 34.0),
        (5, 35.0),
        (6, 36.0),
    ]
    said = capsys.readouterr().err
    assert "step 6 of 6  loss 1.000  1,234 tokens/s  MFU 25.0 %" in said


def test_events_can_be_read_by_tensorboard(tmp_path):
    from tensorboardX.proto.event_pb2 import Event

    reporter = Reporter(tmp_path, 2)
    reporter.write(1, {"loss": 0.5, "note": "text is left to metrics.jsonl"})
    reporter.close()
    data = next((tmp_path / "tensorboard").iterdir()).read_bytes()
    values, at = {}, 0
    while at < len(data):  # records: length, its checksum, the event, its checksum
        size = int.from_bytes(data[at : at + 8], "little")
        for value in Event.FromString(data[at + 12 : at + 12 + size]).summary.value:
            values[value.tag] = value.simple_value
        at += size + 16
    assert values == {"loss": 0.5}


def test_hosts_other_than_the_first_write_nothing(tmp_path, capsys):
    reporter = Reporter(tmp_path, 2, active=False)
    reporter.write(1, {"loss": 0.5})
    reporter.progress(1, {"loss": 0.5, "tokens_per_second": 1.0})
    reporter.say("hello")
    reporter.close()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_curves_are_drawn_with_and_without_evaluations(tmp_path):
    lines = [{"step": s, "loss": 5.0 / s} for s in range(1, 40)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    alone = draw_curves(tmp_path).read_bytes()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": 39, "task/loss": 0.2, "task/exact_match": 90.0}) + "\n")
    both = draw_curves(tmp_path).read_bytes()
    assert alone.startswith(b"\x89PNG")
    assert both.startswith(b"\x89PNG")
    width = [int.from_bytes(png[16:20], "big") for png in (alone, both)]
    assert width[1] > 1.5 * width[0]  # a second panel


def test_a_run_of_one_step_is_drawn(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    assert draw_curves(tmp_path).is_file()

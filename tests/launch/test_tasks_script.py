"""launch/tasks.py: what is registered, and examples at every stage."""


def test_the_list_names_every_task_and_stays_narrow(launch):
    done = launch("tasks.py")
    assert done.returncode == 0, done.stderr
    rows = done.stdout.splitlines()
    names = [row.split()[0] for row in rows[2:]]
    for name in ("scan_simple", "integration", "decompilation", "listops", "embedded", "glue_sst2_v002"):
        assert name in names
    assert max(map(len, rows)) <= 160


def test_a_task_is_shown_from_raw_to_decoded_with_its_lengths(launch):
    done = launch("tasks.py", "--name=scan_simple", "--count=2")
    assert done.returncode == 0, done.stderr
    for stage in ("raw", "text", "tokens", "decoded", "percentile"):
        assert stage in done.stdout
    assert "I_" in done.stdout


def test_a_file_is_shown_likewise(launch, tmp_path):
    (tmp_path / "qa.csv").write_text('question,answer\n"one, two",three\nfour,five\n', encoding="utf-8")
    done = launch("tasks.py", f"--file={tmp_path / 'qa.csv'}", "--inputs=question", "--targets=answer", "--count=1")
    assert done.returncode == 0, done.stderr
    assert "one, two" in done.stdout or "four" in done.stdout


def test_a_wrong_name_names_the_nearest(launch):
    done = launch("tasks.py", "--name=scan_simpel")
    assert done.returncode == 2
    assert "Did you mean 'scan_simple'" in done.stderr
    assert "Traceback" not in done.stderr

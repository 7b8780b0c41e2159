"""What every launch script shares: the --config flag, and mistakes told without a traceback."""

import contextlib
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ml_collections
from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

from t2t.errors import UserError


def define_config(default: str | None = None) -> flags.FlagHolder:
    """Defines --config=FILE, whose `get_config()` makes the config, and --config.FIELD=VALUE over it."""
    return config_flags.DEFINE_config_file(
        "config",
        default,
        "A config file, e.g. configs/demo.py; change a field of it with --config.train.steps=100.",
        lock_config=True,
    )


def config_dict(holder: flags.FlagHolder) -> Mapping[str, Any]:
    """The value of the --config flag as plain dicts."""
    value = holder.value
    if value is None:
        raise UserError("No --config. Expected a config file, for example --config=configs/demo.py.")
    return plain(value)


def plain(value: Any) -> Any:
    """A ConfigDict as dicts, placeholders without a value as None; without those of a class chosen by its name, whose
    defaults hold, and None in its place where no name is chosen."""
    if isinstance(value, ml_collections.ConfigDict):
        fields = {key: plain(item) for key, item in value.items()}
        if "name" not in fields:
            return fields
        return None if fields["name"] is None else {key: item for key, item in fields.items() if item is not None}
    return value


def need(**given: Any) -> None:
    """Raises UserError where a flag that is needed was not given."""
    for name, value in given.items():
        if not value:
            raise UserError(f"--{name} is missing: give --{name}=…")


def integer(name: str, text: str) -> int:
    """The number that a flag holds as text."""
    if not text.isdigit():
        raise UserError(f"--{name}: expected a number or a word it knows, found '{text}'.")
    return int(text)


def say(text: str) -> None:
    """A line for people, apart from what is output."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress(title: str, total: int | None) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on the terminal, as a function (done, total); nothing where errors go elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows in columns."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, ["-" * w for w in widths], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def use_compilation_cache() -> None:
    """Keeps compiled programs on disk, so that the same run compiles once ($JAX_COMPILATION_CACHE_DIR says where)."""
    import jax

    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(pathlib.Path("~/.cache/t2t/jax").expanduser()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)


def run(main: Callable[[list[str]], None]) -> None:
    """Runs `main(argv)` after parsing flags. A UserError ends the script with its message and exit status 2."""

    def quiet(argv):
        absl_logging.set_verbosity(absl_logging.ERROR)  # the libraries' own chatter
        try:
            return main(argv)
        except UserError as error:
            _fail(error)

    app.run(quiet, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    """absl's own parser, with ml_collections' tracebacks for a wrong --config turned into one line."""
    for argument in argv[1:]:
        if argument.startswith(("--config=", "-config=")):
            path = argument.split("=", 1)[1].split(":")[0]
            if not pathlib.Path(path).is_file():
                near = sorted(str(p) for p in pathlib.Path("configs").rglob("*.py") if p.name != "__init__.py")
                _fail(f"--config: there is no file {path}. There are: {', '.join(near) or 'none in configs/'}.")
    try:
        return flags.FLAGS(argv)
    except AttributeError as error:
        _fail("--config: unknown field " + str(error).strip("\"'").replace("\\'", "'").replace("\\n", ". "))
    except flags.Error as error:
        _fail(f"{error}\nRun it with --help to see its flags.")


def _fail(message: object) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)

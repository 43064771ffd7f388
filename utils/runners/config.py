"""Options of a batch system for --mem, --gpu and so on, configured as for Kaldi's queue.pl."""

import shlex
from pathlib import Path

import jobs


def submission_words(job: jobs.Job, config_file: str, built_in: str) -> list[str]:
    """Return the submission command for the options of ``job``.

    Its configuration is --config, else ``config_file`` if it exists, else the text
    ``built_in``.
    """
    options = {name: value for name, value in job.options.items() if name != "config"}
    return submit_words(_read_config(job.options.get("config"), config_file, built_in), options)


def _read_config(path: str | None, config_file: str, built_in: str) -> str:
    if path is None and Path(config_file).is_file():
        path = config_file
    if path is None:
        return built_in
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as err:
        raise jobs.UsageError(f"cannot read --config {path}: {err.strerror}") from err


def submit_words(text: str, options: dict[str, str]) -> list[str]:
    """Return the submission command for the options by a Kaldi-style configuration.

    ``command`` defines the program; ``option name=value`` or ``option name=*`` (the value is $0)
    the words added for an option, an exact value before ``*``; ``default name=value`` the value
    of an option that is not given.  An option that is not configured adds nothing.
    """
    command = ""
    rules: dict[tuple[str, str], str] = {}
    values: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#", 1)[0].strip()
        if not line:
            continue
        kind, _, rest = line.partition(" ")
        rest = rest.strip()
        if kind == "command" and rest:
            command = rest
        elif kind == "option" and "=" in rest.split()[0]:
            head, _, flags = rest.partition(" ")
            name, _, value = head.partition("=")
            rules[name.replace("-", "_"), value] = flags.strip()
        elif kind == "default" and "=" in rest:
            name, _, value = rest.partition("=")
            values[name.replace("-", "_")] = value
        else:
            raise jobs.UsageError(f"line {number} of the queue configuration is wrong: {raw!r}")
    if not command:
        raise jobs.UsageError("the queue configuration has no 'command' line")
    values.update(options)
    words = shlex.split(command)
    for name, value in values.items():
        exact = rules.get((name, value))
        flags = exact if exact is not None else rules.get((name, "*"), "")
        words += shlex.split(flags.replace("$0", value))
    return words

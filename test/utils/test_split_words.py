"""split_words.sh: options of options, quoted as in the shell."""

import subprocess

import pytest


@pytest.fixture
def split(repo_root):
    """A function: the words of a string, or the error."""

    def run(text: str) -> list[str] | str:
        script = (
            f"set -euo pipefail; . {repo_root}/utils/split_words.sh\n"
            'f() { local found; split_words found "$1"; '
            'for word in ${found[@]+"${found[@]}"}; do printf "%s\\0" "$word"; done; }; f "$1"'
        )
        done = subprocess.run(["bash", "-c", script, "demo", text], capture_output=True, text=True,
                              check=False)  # fmt: skip
        return done.stdout.split("\0")[:-1] if done.returncode == 0 else done.stderr

    return run


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  \t ", []),
        ("--nj 4  --seed 1", ["--nj", "4", "--seed", "1"]),
        ("--audio '/my data' --note \"it's\"", ["--audio", "/my data", "--note", "it's"]),
        ("--musan '' --last ''", ["--musan", "", "--last", ""]),
        ("a\\ b $HOME `id` $(id) *", ["a b", "$HOME", "`id`", "$(id)", "*"]),
    ],
)
def test_words(split, text, words):
    assert split(text) == words


@pytest.mark.parametrize("text", ["--note it's", "--note 'two\nlines'"])
def test_what_cannot_be_split_is_an_error(split, text):
    said = split(text)
    assert "demo: error: " in said
    assert text.partition("\n")[0] in said

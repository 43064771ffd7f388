"""parse_options.sh: each sentence of its contract."""

import subprocess

import pytest

DEFAULTS = """
set -euo pipefail
nj=4
some_name=old
empty=
flag=false
help_message='Usage: demo [options] <dir>'
"""


@pytest.fixture
def run(repo_root, tmp_path):
    """Run a script that sources parse_options.sh with arguments: the finished process."""

    def runner(*args: str, defaults: str = DEFAULTS):
        script = tmp_path / "demo.sh"
        script.write_text(
            f"{defaults}\n. {repo_root}/utils/parse_options.sh\n"
            'printf "%s|" "$nj" "$some_name" "$empty" "$flag" "$@"\n'
        )
        return subprocess.run(
            ["bash", str(script), *args], capture_output=True, text=True, cwd=tmp_path, check=False
        )

    return runner


def values(process) -> list[str]:
    assert process.returncode == 0, process.stderr
    return process.stdout.split("|")[:-1]


def fails(process, *words: str) -> None:
    assert process.returncode == 1
    assert process.stdout == ""
    for word in words:
        assert word in process.stderr


def test_no_option_keeps_defaults(run):
    assert values(run()) == ["4", "old", "", "false"]


def test_dash_and_underscore_are_the_same(run):
    assert values(run("--some-name", "a"))[1] == "a"
    assert values(run("--some_name", "b"))[1] == "b"


@pytest.mark.parametrize("value", ["", "-1", "--nj", "--config", "--help", "a b  c", "$(exit 3)"])
def test_value_may_be_anything(run, value):
    assert values(run("--some-name", value))[1] == value


def test_values_are_not_evaluated(run, tmp_path):
    value = "`touch evil`$(touch evil);touch evil"
    assert values(run("--some-name", value))[1] == value
    assert not (tmp_path / "evil").exists()


def test_unknown_option_fails(run):
    fails(run("--other", "1"), "--other")


@pytest.mark.parametrize("word", ["--", "--no/such", "--a b", "--_po_name", "--1"])
def test_a_word_that_can_be_no_variable_fails(run, word):
    fails(run(word, "x"))


def test_equals_sign_fails(run):
    fails(run("--nj=3"), "--nj=3", "--name value")


def test_missing_value_fails(run):
    fails(run("--nj"), "--nj", "value")


def test_switch_takes_true_and_false_only(run):
    assert values(run("--flag", "true"))[3] == "true"
    assert values(run("--flag", "true", "--flag", "false"))[3] == "false"
    fails(run("--flag", "1"), "--flag", "true or false", "'1'")
    fails(run("--flag", ""), "--flag")


def test_stops_at_the_first_word_that_is_no_option(run):
    got = values(run("--nj", "2", "dir", "--nj", "3", "-x", ""))
    assert got == ["2", "old", "", "false", "dir", "--nj", "3", "-x", ""]


def test_a_single_dash_is_no_option(run):
    assert values(run("-", "a"))[4:] == ["-", "a"]


def test_help_prints_the_message(run):
    process = run("--nj", "2", "--help")
    assert process.returncode == 0
    assert process.stdout == "Usage: demo [options] <dir>\n"


def test_help_without_a_message_is_no_failure(run):
    assert run("--help", defaults="set -eu\nnj=1").returncode == 0


def test_configs_are_sourced_left_to_right_and_the_command_line_wins(run, tmp_path):
    (tmp_path / "one.conf").write_text("nj=10\nsome_name=one\nempty=one\n")
    (tmp_path / "two.conf").write_text("some_name=two\nempty=two\n")
    args = ("--empty", "line", "--config", "one.conf", "--config", f"{tmp_path}/two.conf", "dir")
    assert values(run(*args)) == ["10", "two", "line", "false", "dir"]


def test_config_without_slash_is_not_looked_up_in_path(run, tmp_path):
    (tmp_path / "ls").write_text("nj=7\n")
    assert values(run("--config", "ls"))[0] == "7"


def test_missing_config_fails(run):
    fails(run("--config", "no.conf"), "no.conf")


def test_switch_in_a_config_is_checked(run, tmp_path):
    (tmp_path / "bad.conf").write_text("flag=maybe\n")
    fails(run("--config", "bad.conf"), "flag", "maybe", "bad.conf")


def test_yaml_is_not_sourced(run, tmp_path):
    (tmp_path / "train.yaml").write_text("touch evil\n")
    fails(run("--config", "train.yaml"), "train.yaml")
    defaults = DEFAULTS + "config=conf/train.yaml\n"
    assert run("--config", "train.yaml", defaults=defaults).returncode == 0
    assert not (tmp_path / "evil").exists()


def test_a_switch_is_recognised_even_where_a_config_changed_it(run, tmp_path):
    (tmp_path / "on.conf").write_text("flag=true\n")
    assert values(run("--config", "on.conf"))[3] == "true"
    fails(run("--config", "on.conf", "--flag", "x"), "--flag")


def test_leaves_no_names_behind(repo_root):
    script = f". {repo_root}/utils/parse_options.sh; compgen -A variable -A function _po_ || :"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""

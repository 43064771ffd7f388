"""File names of ids: one component of a path, reversible, and different for different ids."""

import string
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diarize.io.filename import file_name

IDS = st.text(st.characters() | st.sampled_from("./-~% *"), min_size=1)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("../x", "%2E.%2Fx"),
        ("/tmp/x", "%2Ftmp%2Fx"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("a b", "a%20b"),
        ("$(x)", "$(x)"),
        ("*", "%2A"),
        ("-x", "%2Dx"),
        ("50%2F", "50%252F"),
        ("a\0\n\u200bb\u3000", "a%00%0A%E2%80%8Bb%E3%80%80"),
        ("Zoë_李", "Zoë_李"),
    ],
)
def test_names_of_unusual_ids(key, name):
    assert file_name(key, ".wav") == f"{name}.wav"
    assert unquote(name) == key


def test_usual_ids_are_their_own_names():
    usual = string.ascii_letters + string.digits + "_-.:=+@,"
    assert file_name(usual) == usual


@given(IDS)
def test_names_can_be_made_and_reversed(key):
    name = file_name(key)
    assert name.isprintable()
    assert not set(name) & set("/ *?[")
    assert name[0] not in ".-~"
    assert len(file_name(key, ".wav").encode()) <= 204
    if len(key) < 16:
        assert unquote(name, errors="surrogatepass") == key


@given(st.lists(IDS | st.text("aä/%-", min_size=190), unique=True))
def test_different_ids_have_different_names(keys):
    assert len({file_name(key) for key in keys}) == len(keys)
    assert all(len(file_name(key).encode()) <= 200 for key in keys)


def test_long_ids_fit_into_a_file_system(tmp_path):
    for key in ("x" * 300, "x" * 299 + "y", "李" * 90, "/" * 90):
        (tmp_path / file_name(key, ".wav")).touch()
    assert len(list(tmp_path.iterdir())) == 4

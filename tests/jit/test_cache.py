"""The folder of compiled code is trusted only where nobody else can have put code into it."""

import os

import pytest

from convnd.jit import compile

pytestmark = pytest.mark.skipif(os.name != "posix", reason="asks for owners and modes of files")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of a machine that has none yet, with a file of compiled code."""
    monkeypatch.setattr(compile, "_caches", lambda: tmp_path)
    compile.cache_folder.cache_clear()
    made = compile.cache_folder()
    inside = tmp_path / made / "kernels_1"
    inside.mkdir(mode=0o755)
    (inside / "code.nbc").write_bytes(b"code")
    (inside / "code.nbc").chmod(0o664)  # as under umask 002: the folder keeps the group out
    yield tmp_path / made
    compile.cache_folder.cache_clear()


def found():
    compile.cache_folder.cache_clear()
    return compile.cache_folder()


def test_a_folder_of_our_own_is_taken(folder):
    assert found() == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_to_is_refused(folder, mode):
    folder.chmod(mode)
    assert found() is None


def test_a_file_that_everyone_may_write_is_refused(folder):
    (folder / "kernels_1" / "code.nbc").chmod(0o666)
    assert found() is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("path", [".", "kernels_1", "kernels_1/code.nbc"])
def test_what_is_somebody_elses_is_refused(folder, path):
    os.chown(folder / path, 12345, 12345)
    assert found() is None


def test_functions_of_one_body_share_no_index(folder):
    """Processes that add to one index at once would take one number for two files."""

    def adding(number):
        def body(address):
            abs(number + address)

        return body

    for number in 1, 2:
        compile.function(adding(number))
    assert len([*folder.rglob("*body*.nbi")]) == len([*folder.rglob("*body*.nbc")]) == 2

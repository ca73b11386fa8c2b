"""The site is built without a warning, its notebooks run, and its pages fit a phone."""

import re
import shutil
import struct
import subprocess
import sys

import pytest

from support import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.process]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
WIDTHS = {"phone": (400, 900), "desktop": (1280, 900)}
PAGES = ["", "tutorial/photographs", "reference/convnd", "explanation/boundaries", "explanation/speed"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs")
    for plugin in ("material", "mkdocstrings", "mkdocs_jupyter"):
        pytest.importorskip(plugin)
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_notebooks_were_run(site):
    for name in ("sound", "photographs", "scans"):
        page = (site / "tutorial" / name / "index.html").read_text()
        assert "data:image/png;base64" in page or name == "sound", name
        assert "Traceback" not in page


def test_reference_has_every_argument(site):
    page = (site / "reference" / "convnd" / "index.html").read_text()
    for name in ("padding", "boundary", "channel_axis", "nan_policy", "workers"):
        assert f"<code>{name}</code>" in page, name


@pytest.mark.skipif(not BROWSER, reason="needs Chromium")
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", PAGES)
def test_pages_in_a_browser(site, tmp_path, page, width):
    """The page is drawn, and nothing but a table or a block of code is wider than the screen."""
    columns, rows = WIDTHS[width]
    path = site / page / "index.html"
    probe = path.with_name("probe.html")
    script = (
        "<script>addEventListener('load', () => document.title = "
        "`${document.documentElement.scrollWidth} of ${document.documentElement.clientWidth}`)</script></body>"
    )
    probe.write_text(path.read_text().replace("</body>", script))
    picture = tmp_path / "page.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={columns},{rows}", "--hide-scrollbars"]
    shown = subprocess.run(
        [BROWSER, *flags, "--virtual-time-budget=4000", "--dump-dom", f"file://{probe}"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found = re.search(r"<title>(\d+) of (\d+)</title>", shown.stdout)
    assert found, shown.stdout[:500]
    assert int(found[1]) <= int(found[2]), found[0]
    subprocess.run(
        [BROWSER, *flags, f"--screenshot={picture}", f"file://{path}"], capture_output=True, check=True, timeout=120
    )
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (columns, rows)
    assert picture.stat().st_size > 10_000  # an empty page has some 2 kB

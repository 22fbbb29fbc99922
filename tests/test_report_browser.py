"""The report in a real browser: no complaint, no sideways scrolling, every picture decoded."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from report_support import comparison, settings

pytest.importorskip("torch")
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from probsig_fast.report import write_report

pytestmark = pytest.mark.slow

PHONE, DESKTOP = 375, 1280
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: The page itself forbids scripts; this one is added to a copy, to ask what was laid out.
_ASK = """<script>addEventListener("load", () => {
  const pictures = [...document.images];
  const told = {
    window: innerWidth,
    page: document.documentElement.scrollWidth,
    pictures: pictures.length,
    decoded: pictures.filter(each => each.complete && each.naturalWidth > 0).length,
    smallest: Math.min(...pictures.map(each => each.getBoundingClientRect().width)),
    wide: Math.max(...[...document.querySelectorAll(".scroll, .picture")].map(
      each => each.getBoundingClientRect().right)),
    text: Math.min(...[...document.querySelectorAll("p, td, th, figcaption")].map(
      each => parseFloat(getComputedStyle(each).fontSize))),
  };
  const pairs = Object.entries(told).map(([name, value]) => name + "=" + value);
  parent.postMessage(pairs.join(" "), "*");
});</script></body>"""
#: A window cannot be as narrow as a phone; a frame in it can.
_FRAME = """<!DOCTYPE html><title></title>
<script>onmessage = event => { document.title = event.data; };</script>
<iframe src="asking.html" style="border: 0; width: WIDTHpx; height: 1400px"></iframe>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(f"needs a browser: none of {', '.join(_NAMES)} is installed")
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "out"
    return write_report(folder, [comparison(), comparison("psi_pre")], settings())[0]


def run(browser: str, page: Path, width: int, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *("--enable-logging=stderr", "--v=0", f"--window-size={width},1400"),
        *(f"--user-data-dir={page.parent.parent / 'profile'}", *options, page.as_uri()),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-800:]
    return result


def complaints(result: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in result.stderr.splitlines() if "CONSOLE" in line]


def test_a_complaint_would_be_seen(browser: str, tmp_path: Path) -> None:
    bad = tmp_path / "a" / "bad.html"
    bad.parent.mkdir()
    bad.write_text('<!DOCTYPE html><script>console.error("heard")</script>')
    (line,) = complaints(run(browser, bad, DESKTOP, "--dump-dom"))
    assert "heard" in line


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_no_complaint_and_not_blank(browser: str, page: Path, tmp_path: Path, width: int) -> None:
    from matplotlib.image import imread

    picture = tmp_path / "page.png"
    result = run(browser, page, width, f"--screenshot={picture}")
    assert complaints(result) == []
    pixels = imread(picture)
    assert pixels.shape[:2] == (1400, width)
    assert pixels.std() > 0.05


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_layout(browser: str, page: Path, width: int) -> None:
    source = page.read_text("utf-8")
    asking = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", source)
    asking = asking.replace("</body>", _ASK)
    page.with_name("asking.html").write_text(asking, "utf-8")
    frame = page.with_name(f"frame{width}.html")
    frame.write_text(_FRAME.replace("WIDTH", str(width)), "utf-8")
    result = run(browser, frame, DESKTOP + 100, "--dump-dom", "--virtual-time-budget=10000")
    title = re.search(r"<title>(.*?)</title>", result.stdout)
    assert title is not None
    told = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", title[1])}
    assert told["window"] == width
    assert told["page"] <= width  # only boxes scroll sideways
    assert told["wide"] <= width
    assert told["decoded"] == told["pictures"] == 16
    assert told["smallest"] > 250
    assert told["text"] >= 12

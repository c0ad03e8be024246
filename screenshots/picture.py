"""A picture: SVG as the app exports it, made small and free of anything of this machine or of the network, and PNG."""

from __future__ import annotations

import getpass
import html
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from screenshots.png import shrink

FONTS = '"Fira Code", "DejaVu Sans Mono", monospace'
NEUTRAL_HOME = "/home/ada/"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
NO_BROWSER = "no PNG was drawn: install Chromium (or Chrome) and see that it is on PATH; the SVG files are complete"
DRAW_S = 60.0
SCALE = 10 / 12.2
"""A cell is 12.2 wide in the SVG and 10 points in the PNG: still easy to read, and half as large a file."""

_FONT_FACE = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)
_CLIPS = re.compile(r'<clipPath id="[^"]*-line-\d+">.*?</clipPath>\s*', re.DOTALL)
_CLIPPED = re.compile(r' clip-path="url\(#[^")]*-line-\d+\)"')
_COMMENT = re.compile(r"<!--.*?-->\s*", re.DOTALL)
_CELLS = re.compile(
    r'<rect fill="([^"]*)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" shape-rendering="crispEdges"/>'
)
_BUTTONS = re.compile(r'<g transform="[^"]*">\s*(?:<circle [^>]*/>\s*)+</g>\s*')
_BLANK = re.compile(r"<text [^>]*>(?:&#160;|\s)*</text>\s*")
_IDENT = re.compile(r"terminal-\d+")
_TEXT = re.compile(r"<text [^>]*>([^<]*)</text>")
_SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')


class NotNeutral(Exception):
    """A picture would show something of the machine that it was drawn on."""


def neutral_svg(exported: str, folder: Path, secrets: Iterable[str]) -> str:
    """The picture without fonts from the network, without what draws nothing, and with names that do not change.

    The night's folder and that of the interpreter have other names in it. Raises NotNeutral when its text has one of
    `secrets`.
    """
    svg = _FONT_FACE.sub("", exported)
    for path, name, end in ((folder, "tinynight", ""), (Path(sys.executable).parent, "python", "/bin")):
        svg = svg.replace(html.escape(str(path)), stand_in(len(str(path)), name, end))
    for pattern in (_COMMENT, _BUTTONS, _CLIPS, _CLIPPED, _BLANK):
        svg = pattern.sub("", svg)
    svg = _with_few_cells(svg)
    svg = _IDENT.sub("t", svg).replace("font-family: Fira Code, monospace;", f"font-family: {FONTS};")
    svg = svg.replace("font-variant-east-asian: full-width;", "font-variant-ligatures: none;")
    if "http" in svg.replace("http://www.w3.org/2000/svg", ""):
        raise NotNeutral("the picture names an address of the network")
    said = text_of(svg)
    for secret in secrets:
        if secret and secret.replace(" ", "") in said:
            raise NotNeutral(f"the picture shows {secret!r}")
    return svg


def _with_few_cells(svg: str) -> str:
    """Backgrounds side by side with the same colour as one, which is most of a picture's size."""
    runs: list[list[str]] = []
    last, right = ("", "", ""), 0.0
    for fill, x, y, width, height in _CELLS.findall(svg):
        if (fill, y, height) == last and abs(float(x) - right) < 0.05:
            right = float(x) + float(width)
            runs[-1][3] = f"{right - float(runs[-1][1]):g}"
        else:
            last, right = (fill, y, height), float(x) + float(width)
            runs.append([fill, x, y, width, height])
    drawn = "\n".join(
        f'<rect fill="{fill}" x="{x}" y="{y}" width="{width}" height="{height}" shape-rendering="crispEdges"/>'
        for fill, x, y, width, height in runs
    )
    first = _CELLS.search(svg)
    return svg if first is None else _CELLS.sub("", svg[: first.start()]) + drawn + _CELLS.sub("", svg[first.start() :])


def stand_in(length: int, name: str, end: str) -> str:
    """A path of this length that tells nothing: nothing moves when it takes another's place."""
    room = length - len(NEUTRAL_HOME) - len(end)
    if room < 1:
        return f"/{name * length}"[:length]
    return f"{NEUTRAL_HOME}{(name * length)[:room]}{end}"


def text_of(svg: str) -> str:
    """The text of a picture, piece by piece, without blanks: what is cut into pieces is found too."""
    return "".join(html.unescape(piece).replace("\xa0", "").replace(" ", "") for piece in _TEXT.findall(svg))


def secrets_of(folder: Path) -> list[str]:
    """What no picture may show: where the night was played, and whose machine it is."""
    user = getpass.getuser()
    home = str(Path.home())
    known = [str(folder), folder.name, tempfile.gettempdir() + "/", home if len(home) > 3 else "", str(Path.cwd())]
    return [*known, f"/{user}/", f"{user}@"]


def browser() -> str | None:
    """The program that draws PNG; None when there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def draw_png(svg: Path, program: str) -> Path:
    """The picture beside the SVG, at its own size. Raises OSError or subprocess.SubprocessError."""
    text = svg.read_text(encoding="utf-8")
    size = _SIZE.search(text)
    assert size is not None, f"{svg.name} has no size"
    width, height = (int(float(number)) + 1 for number in size.groups())
    png = svg.with_suffix(".png")
    with tempfile.TemporaryDirectory(prefix="picture-") as folder:
        page = Path(folder) / "page.html"
        page.write_text(f"<meta charset='utf-8'><body style='margin:0'>{text}</body>", encoding="utf-8")
        flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
            "--disable-background-networking", "--disable-lcd-text", f"--force-device-scale-factor={SCALE}",
            f"--user-data-dir={Path(folder) / 'profile'}",
            "--default-background-color=00000000",
            f"--window-size={width},{height}", f"--screenshot={png}", page.as_uri(),
        ]  # fmt: skip
        subprocess.run([program, *flags], check=True, capture_output=True, timeout=DRAW_S)
    shrink(png)
    return png

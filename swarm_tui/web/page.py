"""The one page: a terminal over the whole window. Nothing in it comes from anywhere but this server."""

from __future__ import annotations

from html import escape

LEAST_FONT, USUAL_FONT, MOST_FONT = 6, 15, 48

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/css/xterm.css">
<style>
@font-face {{ font-family: "Roboto Mono"; src: url("/static/fonts/RobotoMono-VariableFont_wght.ttf"); }}
html, body {{ margin: 0; height: 100%; overflow: hidden; background: #121212; }}
body, a {{ color: #e0e0e0; font-family: "Roboto Mono", monospace; }}
#terminal {{ position: absolute; inset: 0; }}
.word {{ position: absolute; inset: 0; display: flex; align-items: center; justify-content: center; }}
#closed, body.-first-byte #opening {{ display: none; }}
body.-closed #closed {{ display: flex; z-index: 10; background: #121212; }}
</style>
<script src="/static/js/textual.js"></script>
</head>
<body>
<div id="opening" class="word">opening the room …</div>
<div id="closed" class="word"><span>The room is closed. <a href="/">Open it again</a></span></div>
<div id="terminal" class="textual-terminal" data-session-websocket-url="{socket}" data-font-size="{font}"></div>
</body>
</html>
"""


def page(title: str, socket: str, font: str) -> str:
    """`socket`: the address of the WebSocket. `font`: pixels, as asked for; what is no sensible size is not done."""
    size = int(font) if font.isascii() and font.isdecimal() else USUAL_FONT
    return _PAGE.format(title=escape(title), socket=escape(socket), font=max(LEAST_FONT, min(MOST_FONT, size)))

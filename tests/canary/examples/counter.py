"""A server with one page: a button that counts, and a bar as long as the count."""

import http.server
import sys

PAGE = b"""<!doctype html>
<title>Counter</title>
<body style="margin: 0; font: 16px sans-serif">
<button id="more">more</button> <span id="count">0</span> clicks
<div id="bar" style="position: absolute; top: 100px; height: 40px; width: 0; background: #2a6"></div>
<script>
let count = 0
more.onclick = () => {
  document.getElementById("count").textContent = ++count
  bar.style.width = count * 50 + "px"
  console.log(JSON.stringify({kind: "counted", count}))
}
</script>
"""


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Pages).serve_forever()

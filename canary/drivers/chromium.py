"""The browser that is on this machine, and how it is started: quiet, with one address that it reaches."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from canary.verdicts import Miss

OVERRIDE = "SWARM_CHROMIUM"
NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
)
_BELOW_PROGRAMS = ("Google/Chrome/Application/chrome.exe", "Chromium/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe")  # fmt: skip  # noqa: E501
_APPLICATIONS = (
    "Google Chrome.app/Contents/MacOS/Google Chrome",
    "Chromium.app/Contents/MacOS/Chromium",
    "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    # The same picture on every machine of a kind.
    "--disable-lcd-text",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    # Nothing goes past the proxy, not even WebRTC.
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


def find_chromium(environ: Mapping[str, str] | None = None) -> Path:
    """Blocks. Raises Miss (INCONCLUSIVE) when there is none."""
    environ = os.environ if environ is None else environ
    if named := environ.get(OVERRIDE):
        found = shutil.which(named, path=environ.get("PATH"))
        if found is None:
            raise Miss("INCONCLUSIVE", f"{OVERRIDE} names {named}, which is no program here: correct or remove it")
        return Path(found)
    for path in _candidates(environ):
        if path.is_file():
            return path
    raise Miss("INCONCLUSIVE", f"no Chromium was found: install chromium, or name one in {OVERRIDE}")


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    for name in NAMES:
        if found := shutil.which(name, path=environ.get("PATH", "")):
            yield Path(found)
    if sys.platform == "darwin":
        yield from (Path("/Applications") / name for name in _APPLICATIONS)
    for variable in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
        if folder := environ.get(variable):
            yield from (Path(folder) / name for name in _BELOW_PROGRAMS)


def flags(ports: Sequence[int], nowhere: int, *, root: bool) -> list[str]:
    """ports: loopback ports that are reached. nowhere: a port that nobody listens on, where all else is sent, other
    addresses of this machine too. root: Chromium's own sandbox does not start for that user."""
    reached = ";".join(["<-loopback>", *(f"127.0.0.1:{port}" for port in ports)])
    proxy = [f"--proxy-server=http://127.0.0.1:{nowhere}", f"--proxy-bypass-list={reached}"]
    return [*FLAGS, *proxy, *(["--no-sandbox"] if root else [])]


def is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0

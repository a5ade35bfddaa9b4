"""Name the browser and system behind a user agent, well enough for a person to know their own."""

from __future__ import annotations

# The first that matches counts: Edge says that it is Chrome too, and Chrome that it is Safari.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
UNKNOWN = "Unknown browser"


def name_browser(user_agent: str | None) -> str:
    """Return such as "Firefox on Linux"; "Unknown browser" for what is none of the usual ones."""
    said = user_agent or ""
    browser = next((name for mark, name in _BROWSERS if mark in said), UNKNOWN)
    system = next((name for mark, name in _SYSTEMS if mark in said), None)
    return f"{browser} on {system}" if system else browser

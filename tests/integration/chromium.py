"""A headless Chromium that trusts this stack's edge certificate, and lists everything that went wrong in it."""

from __future__ import annotations

import base64
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import ConsoleMessage, Dialog, Page, Response

_BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
# Said by the page's own event too, should a browser word its console message in another way.
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI}`));
"""


@dataclass
class Tab:
    """One page, what it complained about, and numbered screenshots of it."""

    page: Page
    shots: Path
    complaints: list[str] = field(default_factory=list)
    _taken: int = 0

    def watch(self) -> None:
        self.page.add_init_script(_TELL_VIOLATIONS)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        self.page.on("dialog", self._on_dialog)
        self.page.on("response", self._on_response)

    def shoot(self, name: str) -> None:
        self._taken += 1
        self.page.screenshot(path=self.shots / f"{self._taken:02d}-{name}.png", full_page=True)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            where = message.location.get("url", "")
            self.complaints.append(f"console {message.type}: {message.text} {where}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"a script opened a dialog: {dialog.message}")
        dialog.dismiss()

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} for {response.url}")


@contextmanager
def open_tab(certificate: Path, shots: Path, *arguments: str) -> Iterator[Tab]:
    """Start a browser (with further ``arguments``), yield its one tab, and keep a last screenshot whatever happens."""
    shutil.rmtree(shots, ignore_errors=True)
    shots.mkdir(parents=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_executable(),
            args=[
                # This one key and no other: the browser checks everything else as for a customer.
                f"--ignore-certificate-errors-spki-list={_public_key_hash(certificate)}",
                # Chromium's own sandbox does not work for root, which containers run as.
                *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update"),
                # /dev/shm is tiny in containers.
                *("--disable-sync", "--disable-dev-shm-usage"),
                *arguments,
            ],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(15_000)
        tab = Tab(page, shots)
        tab.watch()
        try:
            yield tab
        finally:
            tab.shoot("last")
            browser.close()


def _executable() -> str:
    found = [path for name in _BROWSERS if (path := shutil.which(name))]
    assert found, "no Chromium or Chrome is installed: run tools/chromium.sh"
    return found[0]


def _public_key_hash(certificate: Path) -> str:
    """Hash the subject public key info, as RFC 7469 pins it."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return base64.b64encode(digest.finalize()).decode()

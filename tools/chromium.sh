#!/usr/bin/env bash
# Makes sure that the browser tests find a Chromium: says nothing when there is one, installs Debian's as root, else says how.
set -euo pipefail

for browser in chromium chromium-browser google-chrome google-chrome-stable; do
  if command -v "$browser" > /dev/null; then exit 0; fi
done
for browser in "/Applications/Chromium.app" "/Applications/Google Chrome.app"; do
  if [ -d "$browser" ]; then exit 0; fi
done

if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  echo "==> Chromium (Debian's package, for the browser tests)"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends chromium > /dev/null
  exit 0
fi

cat >&2 << 'HOW'
The browser tests need Chromium or Chrome, and none is installed. Install it and run `make test` again:
  Debian, Ubuntu:  sudo apt-get install chromium
  Fedora:          sudo dnf install chromium
  macOS:           brew install --cask chromium
HOW
exit 1

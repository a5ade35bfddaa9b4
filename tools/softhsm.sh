#!/usr/bin/env bash
# Makes sure that the PKCS#11 tests find a SoftHSM 2: says nothing when there is one, installs Debian's as root, else says
# that those tests are skipped.  Never fails a run: the tests themselves name what they missed.
set -uo pipefail

if [ -f /usr/lib/softhsm/libsofthsm2.so ] && command -v softhsm2-util > /dev/null; then exit 0; fi

if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  echo "==> SoftHSM 2 (Debian's package, for the PKCS#11 tests)"
  export DEBIAN_FRONTEND=noninteractive
  if apt-get update -qq && apt-get install -y -qq --no-install-recommends softhsm2 > /dev/null; then exit 0; fi
fi

echo "==> no SoftHSM 2 on this machine: the PKCS#11 tests are skipped (Debian, Ubuntu: sudo apt-get install softhsm2)" >&2

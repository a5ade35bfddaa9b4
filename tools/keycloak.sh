#!/usr/bin/env bash
# Fetches a Keycloak distribution for the identity tests from Maven Central into .pulse-tools/keycloak, checks it against
# the hash below, and builds it once so that each start is short. KEYCLOAK_HOME names another one instead.
set -euo pipefail
cd "$(dirname "$0")/.."

# The version of deploy/images/keycloak.Dockerfile: what is tested is what ships.
VERSION=26.7.3
SHA256=27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f
PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
FOLDER=.pulse-tools
OLDEST_JAVA=17

cannot() {
  echo "No Keycloak: $1" >&2
  exit 1
}

if [[ -n "${KEYCLOAK_HOME:-}" ]]; then
  [[ -x "$KEYCLOAK_HOME/bin/kc.sh" ]] || cannot "KEYCLOAK_HOME=$KEYCLOAK_HOME has no bin/kc.sh."
  echo "==> Keycloak of KEYCLOAK_HOME"
  exit 0
fi
if grep -qs "Version $VERSION" "$FOLDER/keycloak/version.txt"; then
  exit 0
fi
command -v java > /dev/null || cannot "it needs Java $OLDEST_JAVA or later on the PATH."
java=$(java -version 2>&1 | sed -nE '1s/.*"([0-9]+).*/\1/p')
(( ${java:-0} >= OLDEST_JAVA )) || cannot "it needs Java $OLDEST_JAVA or later, and this is ${java:-unknown}."
command -v mvn > /dev/null || cannot "Maven (mvn) fetches it; or set KEYCLOAK_HOME to a distribution."

echo "==> Keycloak $VERSION"
rm -rf "$FOLDER/new"
mkdir -p "$FOLDER/new"
mvn --batch-mode --quiet "$PLUGIN:copy" -Dartifact="org.keycloak:keycloak-quarkus-dist:$VERSION:zip" \
  -DoutputDirectory="$PWD/$FOLDER/new" > "$FOLDER/maven.log" 2>&1 \
  || cannot "Maven could not fetch it ($FOLDER/maven.log says why); or set KEYCLOAK_HOME to a distribution."
zip="$FOLDER/new/keycloak-quarkus-dist-$VERSION.zip"
echo "$SHA256  $zip" | sha256sum --check --quiet - || cannot "what came is not the file that was pinned; it was not unpacked."
python3 -m zipfile -e "$zip" "$FOLDER/new"
rm "$zip"
home="$FOLDER/new/keycloak-$VERSION"
chmod +x "$home"/bin/*.sh
# What the tests start it with: in production mode, on a database in a file.
"$home/bin/kc.sh" build --db=dev-file --cache=local > "$FOLDER/build.log" 2>&1 || cannot "its build failed ($FOLDER/build.log says why)."
# Last, so that a broken attempt is never taken for the real thing.
rm -rf "$FOLDER/keycloak"
mv "$home" "$FOLDER/keycloak"
rm -rf "$FOLDER/new"

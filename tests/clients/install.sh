#!/bin/sh
# Installs the libraries that the end-to-end tests need into node_modules beside this file, and
# then, one by one, the tools that exist for some platforms only: what does not resolve is named
# and left out, and the tests that need it skip with its name.
set -eu
cd "$(dirname "$0")"
npm install --no-audit --no-fund --no-save --omit=optional --loglevel=error
for tool in anvil cast forge; do
  version=$(node -p "require('./package.json').optionalDependencies['@foundry-rs/$tool']")
  npm install --no-audit --no-fund --no-save --loglevel=error "@foundry-rs/$tool@$version" ||
    echo "@foundry-rs/$tool $version does not install here; the tests that need it skip"
done

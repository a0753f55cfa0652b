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
# Hardhat 3 asks for a Node.js newer than Debian's, which is a package of npm too. Its packages are
# many and of several owners, so they too may be left out.
(cd hardhat && npm install --no-audit --no-fund --no-save --loglevel=error) ||
  echo "Hardhat 3 does not install here; its test skips"
# Older clients, and SDKs that stand on others. None needs its own scripts to be installed, and some
# name peers that only their other uses need.
(cd further && npm install --no-audit --no-fund --no-save --ignore-scripts --legacy-peer-deps --loglevel=error) ||
  echo "Hardhat 2, ethers 5, web3.js, Uniswap v3 or Safe do not install here; their tests skip"

// The command line of solc that forge uses, over the compiler in JavaScript:
// --version, and --standard-json with the input on standard input.
"use strict";
const fs = require("fs");
const path = require("path");
const solc = require("solc");

function find(name) {
  for (const place of [name, path.join(process.cwd(), name)]) {
    if (fs.existsSync(place)) return { contents: fs.readFileSync(place, "utf8") };
  }
  try {
    return { contents: fs.readFileSync(require.resolve(name), "utf8") };
  } catch (error) {
    return { error: String(error) };
  }
}

if (process.argv.includes("--version")) {
  const version = solc.version().replace(".Emscripten.clang", ".Linux.g++");
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${version}`);
} else {
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8"), { import: find }));
}

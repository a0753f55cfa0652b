// Token.sol through solc, imports from node_modules. Prints {abi, bytecode} when run by itself.
"use strict";
const fs = require("fs");
const path = require("path");
const solc = require("solc");

function find(name) {
  try {
    return { contents: fs.readFileSync(require.resolve(name), "utf8") };
  } catch (error) {
    return { error: String(error) };
  }
}

function compile() {
  const input = {
    language: "Solidity",
    sources: { "Token.sol": { content: fs.readFileSync(path.join(__dirname, "Token.sol"), "utf8") } },
    settings: {
      optimizer: { enabled: true, runs: 200 },
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
  const errors = (output.errors || []).filter((item) => item.severity === "error");
  if (errors.length) throw new Error(errors.map((item) => item.formattedMessage).join("\n"));
  const contract = output.contracts["Token.sol"].Token;
  return { abi: contract.abi, bytecode: "0x" + contract.evm.bytecode.object };
}

module.exports = { compile };
if (require.main === module) console.log(JSON.stringify(compile()));

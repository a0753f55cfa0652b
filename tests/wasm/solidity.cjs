// Every contract in docs/examples/solidity through solc. Prints {name: {abi, bytecode, code}}.
"use strict";
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const folder = path.join(__dirname, "..", "..", "docs", "examples", "solidity");

function find(name) {
  try {
    return { contents: fs.readFileSync(require.resolve(name), "utf8") };
  } catch (error) {
    return { error: String(error) };
  }
}

const sources = {};
for (const name of fs.readdirSync(folder).filter((name) => name.endsWith(".sol"))) {
  sources[name] = { content: fs.readFileSync(path.join(folder, name), "utf8") };
}
const input = {
  language: "Solidity",
  sources,
  settings: {
    optimizer: { enabled: true, runs: 200 },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
const errors = (output.errors || []).map((item) => item.formattedMessage);
if (errors.length) throw new Error(errors.join("\n"));
const made = {};
for (const source of Object.keys(sources)) {
  for (const [name, contract] of Object.entries(output.contracts[source])) {
    made[name] = {
      abi: contract.abi,
      bytecode: "0x" + contract.evm.bytecode.object,
      code: "0x" + contract.evm.deployedBytecode.object,
    };
  }
}
console.log(JSON.stringify(made));

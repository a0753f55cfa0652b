// Multicall3.sol through solc: prints {abi, code}, code being what the account holds. The settings
// leave out the metadata, so the same source gives the same bytes everywhere.
"use strict";
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const output = JSON.parse(
  solc.compile(
    JSON.stringify({
      language: "Solidity",
      sources: {
        "Multicall3.sol": { content: fs.readFileSync(path.join(__dirname, "Multicall3.sol"), "utf8") },
      },
      settings: {
        evmVersion: "osaka",
        optimizer: { enabled: true, runs: 1000000 },
        metadata: { appendCBOR: false, bytecodeHash: "none" },
        outputSelection: { "*": { "*": ["abi", "evm.deployedBytecode.object"] } },
      },
    }),
  ),
);
const errors = (output.errors || []).filter((item) => item.severity === "error");
if (errors.length) throw new Error(errors.map((item) => item.formattedMessage).join("\n"));
const contract = output.contracts["Multicall3.sol"].Multicall3;
console.log(
  JSON.stringify({ abi: contract.abi, code: "0x" + contract.evm.deployedBytecode.object }, null, 1),
);

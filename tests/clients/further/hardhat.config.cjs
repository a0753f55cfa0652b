// A Hardhat 2 project against a running node: GHOST_URL says which, SOLC where the compiler is.
require("@nomicfoundation/hardhat-ethers");
require("@nomicfoundation/hardhat-chai-matchers");
const { subtask } = require("hardhat/config");
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require("hardhat/builtin-tasks/task-names");

subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async () => ({
  compilerPath: process.env.SOLC, isSolcJs: true, version: "0.8.37", longVersion: "0.8.37",
}));

module.exports = {
  solidity: "0.8.37",
  networks: { localhost: { url: process.env.GHOST_URL } },
  mocha: { timeout: 120000 },
};

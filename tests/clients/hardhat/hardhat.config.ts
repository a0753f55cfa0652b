// A Hardhat 3 project against a running node: GHOST_URL says which, SOLC where the compiler is. The
// network `simulated` is Hardhat's own, which forks the node at REMOTE_URL.
import hardhatToolboxViem from "@nomicfoundation/hardhat-toolbox-viem";
import { defineConfig } from "hardhat/config";

const remote = process.env.REMOTE_URL;

export default defineConfig({
  plugins: [hardhatToolboxViem],
  solidity: { version: "0.8.37", path: process.env.SOLC },
  networks: {
    ghost: { type: "http", url: process.env.GHOST_URL ?? "http://127.0.0.1:8545" },
    simulated: {
      type: "edr-simulated",
      forking: remote && { url: remote, blockNumber: Number(process.env.FORK_BLOCK) },
    },
  },
});

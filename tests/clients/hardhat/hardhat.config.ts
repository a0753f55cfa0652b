// A Hardhat 3 project against a running node: GHOST_URL says which, SOLC where the compiler is.
import hardhatToolboxViem from "@nomicfoundation/hardhat-toolbox-viem";
import { defineConfig } from "hardhat/config";

export default defineConfig({
  plugins: [hardhatToolboxViem],
  solidity: { version: "0.8.37", path: process.env.SOLC },
  networks: { ghost: { type: "http", url: process.env.GHOST_URL ?? "http://127.0.0.1:8545" } },
});

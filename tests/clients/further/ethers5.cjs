// Drives a node with ethers v5. Usage: node ethers5.cjs http://127.0.0.1:8545
"use strict";
const assert = require("assert");
const { ethers } = require("ethers5");
const { compile } = require("../compile.cjs");
const { KEYS, failure, run, within } = require("../checks.cjs");

const url = process.argv[2];
const provider = new ethers.providers.JsonRpcProvider(url);
provider.pollingInterval = 50;
const wallet = new ethers.Wallet(KEYS[0], provider);
const signer = provider.getSigner(1);
const WEALTH = ethers.utils.parseEther("99999999");
let token, other;

const checks = [
  ["deploys, transfers, finds the event", async () => {
    other = await signer.getAddress();
    const { abi, bytecode } = compile();
    token = await new ethers.ContractFactory(abi, bytecode, wallet).deploy(1000);
    await token.deployed();
    const receipt = await (await token.transfer(other, 7)).wait();
    assert.equal(receipt.events[0].args.value.toString(), "7");
    assert.equal((await token.queryFilter(token.filters.Transfer(null, other))).length, 1);
    assert.equal((await provider.getBlockWithTransactions("latest")).transactions.length, 1);
  }],
  ["understands why a call reverts", async () => {
    const error = await failure(token.callStatic.failWithReason("no money"));
    assert.deepEqual([error.code, error.reason], ["CALL_EXCEPTION", "no money"]);
    const estimate = await failure(token.estimateGas.failWithReason("no money"));
    assert.equal(estimate.reason, "execution reverted: no money");
    const sent = token.failWithReason("x", { gasLimit: 100000 });
    const mined = await failure(sent.then((transaction) => transaction.wait()));
    assert.equal(mined.code, "CALL_EXCEPTION");
  }],
  ["understands why a transaction is refused", async () => {
    for (const [code, attempt] of [
      ["NONCE_EXPIRED", () => wallet.sendTransaction({ to: other, nonce: 0 })],
      ["INSUFFICIENT_FUNDS", () => wallet.sendTransaction({ to: other, value: WEALTH, gasLimit: 21000 })],
      ["INSUFFICIENT_FUNDS", () => signer.sendTransaction({ to: other, value: WEALTH })],
    ]) assert.equal((await failure(attempt())).code, code);
  }],
  ["signs through the node", async () => {
    const signature = await signer.signMessage("hello");
    assert.equal(ethers.utils.verifyMessage("hello", signature), other);
    const types = { Note: [{ name: "text", type: "string" }] };
    const typed = await signer._signTypedData({ name: "x" }, types, { text: "a" });
    assert.equal(ethers.utils.verifyTypedData({ name: "x" }, types, { text: "a" }, typed), other);
  }],
  ["batches", async () => {
    const batched = new ethers.providers.JsonRpcBatchProvider(url);
    const [height, balance] = await Promise.all([batched.getBlockNumber(), batched.getBalance(other)]);
    assert.ok(height > 0 && balance.gt(0));
  }],
  ["listens over WebSocket", async () => {
    const socket = new ethers.providers.WebSocketProvider(url.replace("http", "ws"));
    const seen = { block: 0, pending: 0, log: 0 };
    socket.on("block", () => (seen.block += 1));
    socket.on("pending", () => (seen.pending += 1));
    const logged = new Promise((resolve) => socket.on({ address: token.address }, resolve));
    await new Promise((resolve) => setTimeout(resolve, 300));
    await (await token.transfer(other, 3)).wait();
    await within(logged, "a log");
    await socket.send("eth_chainId", []);
    await socket.destroy();
    assert.ok(seen.block > 0 && seen.pending > 0);
  }],
];

run(checks);

// Drives a node with ethers v6. Usage: node ethers.cjs http://127.0.0.1:8545
"use strict";
const assert = require("assert");
const { ethers } = require("ethers");
const { compile } = require("./compile.cjs");
const { KEYS, failure, run, within } = require("./checks.cjs");

const url = process.argv[2];
const provider = new ethers.JsonRpcProvider(url, undefined, { cacheTimeout: -1 });
const wallet = new ethers.Wallet(KEYS[0], provider);
const other = new ethers.Wallet(KEYS[1]).address;
const SUPPLY = 1000n;
let token;

const checks = [
  ["deploys OpenZeppelin's ERC-20", async () => {
    const { abi, bytecode } = compile();
    token = await new ethers.ContractFactory(abi, bytecode, wallet).deploy(SUPPLY);
    await token.waitForDeployment();
    assert.equal(await token.name(), "Ghost Token");
    assert.equal(await token.balanceOf(wallet.address), SUPPLY);
    assert.notEqual(await provider.getCode(await token.getAddress()), "0x");
  }],
  ["transfers and reads the event", async () => {
    const receipt = await (await token.transfer(other, 7n)).wait();
    assert.equal(receipt.status, 1);
    const events = receipt.logs.map((log) => token.interface.parseLog(log));
    assert.equal(events[0].name, "Transfer");
    assert.equal(events[0].args.value, 7n);
    const found = await token.queryFilter(token.filters.Transfer(wallet.address, other), 0);
    assert.equal(found.length, 1);
    assert.equal(found[0].transactionHash, receipt.hash);
    assert.equal(await token.balanceOf(other), 7n);
    const past = { blockTag: receipt.blockNumber - 1 };
    assert.equal(await token.balanceOf(other, past), 0n);
  }],
  ["shows a revert's reason", async () => {
    for (const attempt of [
      token.failWithReason.staticCall("no money"),
      token.failWithReason.estimateGas("no money"),
      token.failWithReason.send("no money"),
    ]) {
      const error = await failure(attempt);
      assert.equal(error.code, "CALL_EXCEPTION");
      assert.equal(error.reason, "no money");
    }
  }],
  ["shows a panic and a custom error", async () => {
    const panic = await failure(token.failWithPanic.staticCall());
    assert.equal(panic.revert.name, "Panic");
    assert.equal(panic.revert.args[0], 1n);
    const custom = await failure(token.failWithError.staticCall(42));
    assert.equal(custom.revert.name, "Refused");
    assert.equal(custom.revert.args.code, 42n);
    const poor = await failure(token.connect(provider).transfer.staticCall(other, 1n, { from: "0x" + "77".repeat(20) }));
    assert.equal(poor.revert.name, "ERC20InsufficientBalance");
  }],
  ["mines a transaction that reverts", async () => {
    const sent = await token.failWithoutReason.send({ gasLimit: 100000n });
    const error = await failure(sent.wait());
    assert.equal(error.code, "CALL_EXCEPTION");
    assert.equal(error.receipt.status, 0);
  }],
  ["hits a nonce error", async () => {
    const error = await failure(wallet.sendTransaction({ to: other, value: 1n, nonce: 0 }));
    assert.equal(error.code, "NONCE_EXPIRED");
  }],
  ["hits an insufficient funds error", async () => {
    const value = (await provider.getBalance(wallet.address)) * 2n;
    const poor = await failure(wallet.sendTransaction({ to: other, value, gasLimit: 21000n }));
    assert.equal(poor.code, "INSUFFICIENT_FUNDS");
  }],
  ["estimates what nested calls need", async () => {
    const gas = await token.nested.estimateGas(20);
    const receipt = await (await token.nested(20, { gasLimit: gas })).wait();
    assert.equal(receipt.status, 1);
    assert.ok(gas < receipt.gasUsed * 2n, `${gas} for ${receipt.gasUsed}`);
  }],
  ["sends every type of transaction", async () => {
    for (const type of [0, 1, 2]) {
      const receipt = await (await wallet.sendTransaction({ to: other, value: 1n, type })).wait();
      assert.equal(receipt.type, type);
    }
  }],
  ["reads blocks, fees and transactions", async () => {
    const block = await provider.getBlock("latest", true);
    assert.equal(block.prefetchedTransactions.length, block.transactions.length);
    const fees = await provider.getFeeData();
    assert.ok(fees.maxFeePerGas > 0n && fees.gasPrice > 0n);
    const found = await provider.getTransaction(block.transactions[0]);
    assert.equal(found.blockHash, block.hash);
    assert.equal((await provider.getBlock(block.hash)).number, block.number);
    assert.equal(await provider.getBlock(block.number + 1000), null);
  }],
  ["signs with the node's accounts", async () => {
    const signer = await provider.getSigner(0);
    assert.equal(signer.address, wallet.address);
    assert.equal((await (await signer.sendTransaction({ to: other, value: 1n })).wait()).status, 1);
    assert.equal(await signer.signMessage("hello"), await wallet.signMessage("hello"));
    const typed = [{ name: "a", chainId: 1 }, { Mail: [{ name: "x", type: "uint256" }] }, { x: 5 }];
    assert.equal(await signer.signTypedData(...typed), await wallet.signTypedData(...typed));
  }],
  ["hears of blocks, events and pending transactions over WebSocket", async () => {
    const socket = new ethers.WebSocketProvider(url.replace("http", "ws"));
    const block = new Promise((resolve) => socket.once("block", resolve));
    const pending = new Promise((resolve) => socket.once("pending", resolve));
    const listening = token.connect(socket);
    const event = new Promise((resolve) => listening.once("Transfer", (...args) => resolve(args)));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const receipt = await (await token.transfer(other, 3n)).wait();
    assert.equal(await within(pending, "pending"), receipt.hash);
    assert.ok((await within(block, "block")) >= receipt.blockNumber);
    const [, , value, payload] = await within(event, "event");
    assert.equal(value, 3n);
    assert.equal(payload.log.transactionHash, receipt.hash);
    // Two round trips: `once` unsubscribes behind the scenes, and a request cut off would throw.
    for (const _ of [1, 2]) await socket.send("eth_chainId", []);
    await socket.destroy();
  }],
];

run(checks);

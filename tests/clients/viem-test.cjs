// Moves a development chain with viem's test client. Usage: node viem-test.cjs URL anvil|hardhat
"use strict";
const assert = require("assert");
const viem = require("viem");
const { privateKeyToAccount } = require("viem/accounts");
const { KEYS, failure, run } = require("./checks.cjs");

const [url, mode] = process.argv.slice(2);
const account = privateKeyToAccount(KEYS[0]);
const whale = "0x3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f";
const bob = "0xb0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0";
const transport = viem.http(url);
let client;

const head = () => client.getBlock({ blockTag: "latest" });
const balance = (address) => client.getBalance({ address });
const send = (more = {}) => client.sendTransaction({ account, to: bob, value: 1n, ...more });
const receipt = (hash) => client.getTransactionReceipt({ hash });

const checks = [
  ["knows the chain", async () => {
    const id = await viem.createPublicClient({ transport }).getChainId();
    const chain = viem.defineChain({
      id,
      name: "ghost",
      nativeCurrency: { name: "GCC", symbol: "GCC", decimals: 18 },
      rpcUrls: { default: { http: [url] } },
    });
    client = viem.createTestClient({ chain, mode, transport })
      .extend(viem.publicActions)
      .extend(viem.walletActions);
  }],
  ["finds the receipt at once", async () => {
    assert.equal((await receipt(await send())).status, "success");
  }],
  ["switches automine", async () => {
    assert.equal(await client.getAutomine(), true);
    await client.setAutomine(false);
    assert.equal(await client.getAutomine(), false);
    const hash = await send();
    await failure(receipt(hash));
    await client.mine({ blocks: 1 });
    assert.equal((await receipt(hash)).status, "success");
  }],
  ["shows and drops what waits", async () => {
    const hash = await send();
    assert.equal((await client.getTxpoolStatus()).pending, 1);
    const content = await client.getTxpoolContent();
    assert.equal(Object.values(content.pending)[0] !== undefined, true);
    assert.equal(Object.keys((await client.inspectTxpool()).pending).length, 1);
    await client.dropTransaction({ hash });
    assert.equal((await client.getTxpoolStatus()).pending, 0);
    await client.setAutomine(true);
  }],
  ["mines blocks at an interval", async () => {
    const before = await head();
    await client.mine({ blocks: 3, interval: 10 });
    const after = await head();
    assert.equal(after.number, before.number + 3n);
    assert.ok(after.timestamp >= before.timestamp + 20n);
  }],
  ["moves the clock", async () => {
    const before = await head();
    await client.increaseTime({ seconds: 420 });
    await client.mine({ blocks: 1 });
    assert.ok((await head()).timestamp >= before.timestamp + 420n);
    const next = (await head()).timestamp + 1000n;
    await client.setNextBlockTimestamp({ timestamp: next });
    await client.mine({ blocks: 1 });
    assert.equal((await head()).timestamp, next);
    // viem's own action takes Hardhat's for milliseconds, though Hardhat has no such method.
    await client.request({ method: `${mode}_setBlockTimestampInterval`, params: [5] });
    await client.mine({ blocks: 2 });
    assert.equal((await head()).timestamp, next + 10n);
    await client.removeBlockTimestampInterval();
  }],
  ["changes accounts", async () => {
    await client.setBalance({ address: whale, value: viem.parseEther("69") });
    assert.equal(await balance(whale), viem.parseEther("69"));
    await client.setNonce({ address: whale, nonce: 420 });
    assert.equal(await client.getTransactionCount({ address: whale }), 420);
    await client.setCode({ address: bob, bytecode: "0x60016000f3" });
    assert.equal(await client.getCode({ address: bob }), "0x60016000f3");
    await client.setStorageAt({ address: bob, index: 2, value: viem.toHex(69, { size: 32 }) });
    assert.equal(await client.getStorageAt({ address: bob, slot: "0x2" }), viem.toHex(69, { size: 32 }));
    await client.setCode({ address: bob, bytecode: "0x" });
  }],
  ["impersonates", async () => {
    await client.impersonateAccount({ address: whale });
    const hash = await client.sendTransaction({ account: whale, to: bob, value: 5n });
    assert.equal(viem.isAddressEqual((await receipt(hash)).from, whale), true);
    await client.stopImpersonatingAccount({ address: whale });
    await failure(client.sendTransaction({ account: whale, to: bob, value: 5n }));
    const unsigned = await client.sendUnsignedTransaction({ from: whale, to: bob, value: 6n });
    assert.equal((await receipt(unsigned)).status, "success");
  }],
  ["takes snapshots and reverts", async () => {
    const before = await head();
    const id = await client.snapshot();
    const held = await balance(bob);
    await send({ value: 9n });
    await client.mine({ blocks: 2 });
    await client.revert({ id });
    assert.equal((await head()).hash, before.hash);
    assert.equal(await balance(bob), held);
    assert.equal((await receipt(await send())).status, "success");
  }],
  ["decides what the next block is like", async () => {
    await client.setCoinbase({ address: bob });
    await client.setBlockGasLimit({ gasLimit: 420_000_000n });
    await client.setNextBlockBaseFeePerGas({ baseFeePerGas: viem.parseGwei("20") });
    await client.mine({ blocks: 1 });
    const block = await head();
    assert.equal(viem.isAddressEqual(block.miner, bob), true);
    assert.equal(block.gasLimit, 420_000_000n);
    assert.equal(block.baseFeePerGas, viem.parseGwei("20"));
  }],
  ["is refused a lowest price, as by anvil and Hardhat", async () => {
    const error = await failure(client.setMinGasPrice({ gasPrice: 1n }));
    assert.match(String(error.details || error), /EIP-1559/);
  }],
  ["mines at an interval by itself", async () => {
    await client.request({ method: "evm_setIntervalMining", params: [1] });
    const before = await head();
    while ((await head()).number === before.number) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await client.setIntervalMining({ interval: 0 });
    await client.setAutomine(true);
  }],
  ["dumps and loads the state", async () => {
    const dumped = await client.dumpState();
    await client.setBalance({ address: whale, value: 1n });
    await client.loadState({ state: dumped });
    assert.ok((await balance(whale)) > 1n);
  }],
  ["begins anew", async () => {
    await client.setLoggingEnabled(false);
    await client.reset();
    assert.equal((await head()).number, 0n);
  }],
];

run(checks);

// Moves a fork with viem's test client.
// Usage: node viem-fork.cjs FORK_URL REMOTE_URL anvil|hardhat COUNTER FORK_BLOCK
// The remote goes on after FORK_BLOCK; COUNTER counts in slot 0 and stands at 7 there.
"use strict";
const assert = require("assert");
const viem = require("viem");
const { privateKeyToAccount } = require("viem/accounts");
const { KEYS, failure, run } = require("./checks.cjs");

const [url, remoteUrl, mode, counter, block] = process.argv.slice(2);
const forkBlock = BigInt(block);
const [alice, bob] = KEYS.map((key) => privateKeyToAccount(key));
const stranger = "0x1111111111111111111111111111111111111111";
const whale = "0x3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f";
const transport = viem.http(url);
const remote = viem.createPublicClient({ transport: viem.http(remoteUrl) });
let client;

const word = (value) => viem.toHex(value, { size: 32 });
const balance = (address, more = {}) => client.getBalance({ address, ...more });
const count = async (more = {}) =>
  viem.hexToBigInt((await client.getStorageAt({ address: counter, slot: "0x0", ...more })));
const add = (by, account = alice) => client.sendTransaction({ account, to: counter, data: word(by) });
const receipt = (hash) => client.getTransactionReceipt({ hash });
const reset = (more) => client.reset({ jsonRpcUrl: remoteUrl, ...more });

const checks = [
  ["begins where the remote stood", async () => {
    const id = await viem.createPublicClient({ transport }).getChainId();
    assert.equal(id, await remote.getChainId());
    const chain = viem.defineChain({
      id,
      name: "fork",
      nativeCurrency: { name: "GCC", symbol: "GCC", decimals: 18 },
      rpcUrls: { default: { http: [url] } },
    });
    client = viem.createTestClient({ chain, mode, transport })
      .extend(viem.publicActions)
      .extend(viem.walletActions);
    assert.equal(await client.getBlockNumber({ cacheTime: 0 }), forkBlock);
    assert.equal(await count(), 7n);
    assert.equal(await balance(stranger), 123n);
    assert.ok((await remote.getBlockNumber({ cacheTime: 0 })) > forkBlock);
  }],
  ["shows the remote's blocks, transactions, receipts and logs", async () => {
    for (let number = 0n; number <= forkBlock; number++) {
      const [ours, theirs] = await Promise.all([client, remote].map((one) =>
        one.getBlock({ blockNumber: number, includeTransactions: true })));
      assert.deepEqual(ours, theirs);
      assert.deepEqual(await client.getBlock({ blockHash: theirs.hash, includeTransactions: true }),
        theirs);
      for (const { hash } of theirs.transactions) {
        assert.deepEqual(await receipt(hash), await remote.getTransactionReceipt({ hash }));
      }
    }
    const range = { fromBlock: 0n, toBlock: forkBlock };
    assert.deepEqual(await client.getLogs(range), await remote.getLogs(range));
    const later = await remote.getBlock({ blockNumber: forkBlock + 1n });
    await failure(client.getBlock({ blockHash: later.hash }));
    await failure(client.getBlock({ blockNumber: forkBlock + 1n }));
  }],
  ["proves the remote's past", async () => {
    const asked = { address: counter, storageKeys: [word(0n)], blockNumber: forkBlock };
    assert.deepEqual(await client.getProof(asked), await remote.getProof(asked));
  }],
  ["writes over it, here alone", async () => {
    assert.equal((await receipt(await add(5n))).status, "success");
    assert.equal(await count(), 12n);
    assert.equal(await count({ blockNumber: forkBlock }), 7n);
    assert.equal(viem.hexToBigInt((await client.call({ to: counter })).data), 12n);
    assert.equal(viem.hexToBigInt((await client.call({ to: counter, blockNumber: forkBlock })).data),
      7n);
    const block = await client.getBlock();
    assert.equal(block.number, forkBlock + 1n);
    assert.equal(block.parentHash, (await remote.getBlock({ blockNumber: forkBlock })).hash);
    const fees = await client.getFeeHistory({ blockCount: 3, rewardPercentiles: [50] });
    assert.equal(fees.oldestBlock, forkBlock - 1n);
    assert.equal(fees.gasUsedRatio.length, 3);
  }],
  ["takes snapshots and reverts across reads of the remote", async () => {
    const before = await client.getBlock();
    const id = await client.snapshot();
    await add(100n, bob);
    await client.setBalance({ address: stranger, value: 1n });
    await client.mine({ blocks: 3 });
    await client.revert({ id });
    assert.equal((await client.getBlock()).hash, before.hash);
    assert.equal(await count(), 12n);
    assert.equal(await balance(stranger), 123n);
  }],
  ["impersonates an account that the remote alone knows", async () => {
    await client.impersonateAccount({ address: stranger });
    await client.setBalance({ address: stranger, value: viem.parseEther("1") });
    const hash = await client.sendTransaction({ account: stranger, to: whale, value: 5n });
    assert.equal(viem.isAddressEqual((await receipt(hash)).from, stranger), true);
    await client.stopImpersonatingAccount({ address: stranger });
    await failure(client.sendTransaction({ account: stranger, to: whale, value: 5n }));
    assert.equal(await balance(whale), 5n);
    assert.equal(await remote.getBalance({ address: whale }), 0n);
  }],
  ["changes accounts of the remote", async () => {
    await client.setStorageAt({ address: counter, index: 0, value: word(1000n) });
    assert.equal(await count(), 1000n);
    await client.setStorageAt({ address: counter, index: 1, value: word(3n) });
    assert.equal(await client.getStorageAt({ address: counter, slot: "0x1" }), word(3n));
    await client.setNonce({ address: whale, nonce: 420 });
    assert.equal(await client.getTransactionCount({ address: whale }), 420);
    const code = await client.getCode({ address: counter });
    await client.setCode({ address: counter, bytecode: "0x602a5f5260205ff3" });
    assert.equal(viem.hexToBigInt((await client.call({ to: counter })).data), 42n);
    await client.setCode({ address: counter, bytecode: code });
    assert.equal(viem.hexToBigInt((await client.call({ to: counter })).data), 1000n);
    assert.equal(viem.hexToBigInt(await remote.getStorageAt({ address: counter, slot: "0x0" })) < 1000n,
      true);
  }],
  ["holds, shows and drops transactions", async () => {
    await client.setAutomine(false);
    const before = await client.getTransactionCount({ address: alice.address });
    const [kept, dropped] = [await add(1n), await add(2n, bob)];
    assert.equal((await client.getTxpoolStatus()).pending, 2);
    await client.dropTransaction({ hash: dropped });
    assert.equal((await client.getTxpoolStatus()).pending, 1);
    await client.mine({ blocks: 1 });
    assert.equal((await receipt(kept)).status, "success");
    await failure(receipt(dropped));
    assert.equal(await client.getTransactionCount({ address: alice.address }), before + 1);
    await client.setAutomine(true);
  }],
  ["moves the clock on from the remote's", async () => {
    const next = (await client.getBlock()).timestamp + 1000n;
    await client.setNextBlockTimestamp({ timestamp: next });
    await client.mine({ blocks: 2, interval: 10 });
    assert.equal((await client.getBlock()).timestamp, next + 10n);
  }],
  ["dumps and loads the state over the remote's", async () => {
    const dumped = await client.dumpState();
    await client.setBalance({ address: whale, value: 1n });
    await client.loadState({ state: dumped });
    assert.equal(await balance(whale), 5n);
  }],
  ["is reset to another block", async () => {
    await reset({ blockNumber: forkBlock - 1n });
    assert.equal(await client.getBlockNumber({ cacheTime: 0 }), forkBlock - 1n);
    assert.equal(await balance(whale), 0n);
    assert.equal((await client.getBlock()).hash,
      (await remote.getBlock({ blockNumber: forkBlock - 1n })).hash);
    assert.equal((await client.getTxpoolStatus()).pending, 0);
    await failure(client.getBlock({ blockNumber: forkBlock }));
    assert.equal((await receipt(await add(1n))).status, "success");
  }],
  ["is reset to the remote's head", async () => {
    await reset({});
    assert.equal(await client.getBlockNumber({ cacheTime: 0 }), await remote.getBlockNumber({ cacheTime: 0 }));
    assert.equal(await count(),
      viem.hexToBigInt(await remote.getStorageAt({ address: counter, slot: "0x0" })));
  }],
  ["refuses a block that the remote lacks, and stays as it is", async () => {
    const head = await client.getBlock();
    await failure(reset({ blockNumber: 1_000_000n }));
    assert.equal((await client.getBlock()).hash, head.hash);
  }],
  ["is reset to its block again, and to no fork", async () => {
    await reset({ blockNumber: forkBlock });
    await add(1n);
    assert.equal(await count(), 8n);
    await reset({ blockNumber: forkBlock });
    assert.equal(await count(), 7n);
    await client.request({ method: `${mode}_reset`, params: [] });
    assert.equal(await client.getBlockNumber({ cacheTime: 0 }), 0n);
    assert.equal(await balance(stranger), 0n);
  }],
];

run(checks);

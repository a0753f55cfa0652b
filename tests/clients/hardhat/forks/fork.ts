// A project on a fork. --network ghost: of a ghostd that forks another; --network simulated:
// Hardhat's own chain, which forks a ghostd. REMOTE_URL is what is forked, at FORK_BLOCK, after which
// it goes on; COUNTER counts in slot 0 and stands at 7 there.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { network } from "hardhat";
import { createPublicClient, hexToBigInt, http, parseEther, toHex, type Hex } from "viem";

const counter = process.env.COUNTER as Hex;
const forkBlock = BigInt(process.env.FORK_BLOCK ?? "0");
const stranger = "0x1111111111111111111111111111111111111111";
const word = (value: bigint) => toHex(value, { size: 32 });

describe("a project on a fork", async () => {
  const { viem, networkHelpers, provider } = await network.getOrCreate();
  const client = await viem.getPublicClient();
  const remote = createPublicClient({ transport: http(process.env.REMOTE_URL) });
  const [alice, bob] = await viem.getWalletClients();
  const count = async () =>
    hexToBigInt((await client.getStorageAt({ address: counter, slot: "0x0" })) ?? "0x0");
  const add = async (by: bigint, sender = alice) => {
    const hash = await sender.sendTransaction({ to: counter, data: word(by) });
    return await client.waitForTransactionReceipt({ hash });
  };

  it("begins where the remote stood", async () => {
    assert.equal(await client.getBlockNumber({ cacheTime: 0 }), forkBlock);
    assert.equal(await count(), 7n);
    assert.equal(await client.getBalance({ address: stranger }), 123n);
    assert.ok((await remote.getBlockNumber({ cacheTime: 0 })) > forkBlock);
    for (let number = 0n; number <= forkBlock; number++) {
      const [ours, theirs] = await Promise.all(
        [client, remote].map((one) => one.getBlock({ blockNumber: number })));
      for (const name of ["hash", "parentHash", "stateRoot", "timestamp", "transactions"] as const) {
        assert.deepEqual(ours[name], theirs[name]);
      }
      for (const hash of theirs.transactions) {
        const [mine, its] = await Promise.all(
          [client, remote].map((one) => one.getTransactionReceipt({ hash })));
        for (const name of ["status", "gasUsed", "blockHash", "logs", "contractAddress"] as const) {
          assert.deepEqual(mine[name], its[name]);
        }
        assert.equal((await client.getTransaction({ hash })).from,
          (await remote.getTransaction({ hash })).from);
      }
    }
  });

  it("writes over the remote's state, here alone", async () => {
    const before = hexToBigInt(
      (await remote.getStorageAt({ address: counter, slot: "0x0" })) ?? "0x0");
    assert.equal((await add(5n)).status, "success");
    assert.equal(await count(), 12n);
    assert.equal(hexToBigInt((await client.call({ to: counter })).data ?? "0x"), 12n);
    assert.equal(await client.getBlockNumber({ cacheTime: 0 }), forkBlock + 1n);
    assert.equal(await remote.getStorageAt({ address: counter, slot: "0x0" }), word(before));
    const old = await client.getStorageAt({ address: counter, slot: "0x0", blockNumber: forkBlock });
    assert.equal(hexToBigInt(old ?? "0x0"), 7n);
  });

  it("deploys contracts beside the remote's", async () => {
    const deployed = await viem.deployContract("Counter");
    await viem.assertions.emitWithArgs(deployed.write.incBy([3n]), deployed, "Increment", [3n]);
    await viem.assertions.revertWithCustomError(deployed.write.incBy([0n]), deployed, "Nothing");
    const coin = await viem.deployContract("Coin", ["Coin", parseEther("1000")]);
    await coin.write.transfer([bob.account.address, 7n]);
    assert.equal(await coin.read.balanceOf([bob.account.address]), 7n);
  });

  it("comes back to snapshots, moves time, impersonates the remote's accounts", async () => {
    const { time } = networkHelpers;
    const start = await time.latestBlock();
    const held = await count();
    const snapshot = await networkHelpers.takeSnapshot();
    await add(100n, bob);
    await networkHelpers.mine(5);
    await time.increase(1000);
    await networkHelpers.setBalance(stranger, parseEther("3"));
    await networkHelpers.impersonateAccount(stranger);
    const sender = await viem.getWalletClient(stranger);
    const hash = await sender.sendTransaction({ to: bob.account.address, value: 1n });
    assert.equal((await client.waitForTransactionReceipt({ hash })).status, "success");
    await networkHelpers.stopImpersonatingAccount(stranger);
    await networkHelpers.setStorageAt(counter, 0n, 77n);
    assert.equal(await count(), 77n);
    await snapshot.restore();
    assert.equal(await time.latestBlock(), start);
    assert.equal(await count(), held);
    assert.equal(await client.getBalance({ address: stranger }), 123n);
  });

  it("loads a fixture that reads the remote again and again", async () => {
    const held = await count();
    async function counted() {
      await add(2n);
    }
    for (let run = 0; run < 3; run++) {
      await networkHelpers.loadFixture(counted);
      assert.equal(await count(), held + 2n);
      await add(40n);
    }
  });

  it("finds logs on both sides of the fork", async () => {
    const found = await client.getLogs({ fromBlock: 0n, toBlock: "latest" });
    const before = await remote.getLogs({ fromBlock: 0n, toBlock: forkBlock });
    assert.ok(before.length > 0);
    assert.deepEqual(found.slice(0, before.length).map((log) => log.transactionHash),
      before.map((log) => log.transactionHash));
    assert.equal(typeof (await provider.request({ method: "web3_clientVersion" })), "string");
  });
});

// What a project does every day: deploy, call, expect events and reverts, many transactions at once,
// snapshots, time, impersonation, and a deployment by Ignition.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { network } from "hardhat";
import { getAddress, parseEther } from "viem";
import Coin from "../ignition/modules/Coin.ts";

describe("a project's days", async () => {
  const { viem, networkHelpers, ignition } = await network.getOrCreate();
  const client = await viem.getPublicClient();
  const [alice, bob] = await viem.getWalletClients();

  it("deploys, emits, reverts with custom errors", async () => {
    const counter = await viem.deployContract("Counter");
    await viem.assertions.emitWithArgs(counter.write.incBy([3n]), counter, "Increment", [3n]);
    for (let by = 1n; by <= 5n; by++) await counter.write.incBy([by]);
    assert.equal(await counter.read.x(), 18n);
    await viem.assertions.revertWithCustomError(counter.write.incBy([0n]), counter, "Nothing");
  });

  it("keeps nonces in order when many are sent at once", async () => {
    const before = await client.getTransactionCount({ address: alice.account.address });
    const hashes = await Promise.all(
      Array.from({ length: 25 }, (_, index) =>
        alice.sendTransaction({ to: bob.account.address, value: BigInt(index) })),
    );
    const receipts = await Promise.all(
      hashes.map((hash) => client.waitForTransactionReceipt({ hash })));
    assert.ok(receipts.every((receipt) => receipt.status === "success"));
    assert.equal(await client.getTransactionCount({ address: alice.account.address }), before + 25);
  });

  it("runs OpenZeppelin's ERC-20 with permit, and ERC-721", async () => {
    const coin = await viem.deployContract("Coin", ["Coin", parseEther("1000")]);
    await coin.write.transfer([bob.account.address, 7n]);
    assert.equal(await coin.read.balanceOf([bob.account.address]), 7n);
    const deadline = 2n ** 40n;
    const signature = await alice.signTypedData({
      domain: {
        name: "Coin", version: "1", chainId: await client.getChainId(),
        verifyingContract: coin.address,
      },
      types: {
        Permit: [
          { name: "owner", type: "address" }, { name: "spender", type: "address" },
          { name: "value", type: "uint256" }, { name: "nonce", type: "uint256" },
          { name: "deadline", type: "uint256" },
        ],
      },
      primaryType: "Permit",
      message: {
        owner: alice.account.address, spender: bob.account.address, value: 9n, nonce: 0n, deadline,
      },
    });
    const r = `0x${signature.slice(2, 66)}` as const;
    const s = `0x${signature.slice(66, 130)}` as const;
    const v = Number.parseInt(signature.slice(130), 16);
    await coin.write.permit(
      [alice.account.address, bob.account.address, 9n, deadline, v, r, s],
      { account: bob.account });
    assert.equal(await coin.read.allowance([alice.account.address, bob.account.address]), 9n);

    const deed = await viem.deployContract("Deed");
    await deed.write.mint([bob.account.address, 1n]);
    await deed.write.transferFrom([bob.account.address, alice.account.address, 1n],
      { account: bob.account });
    assert.equal(await deed.read.ownerOf([1n]), getAddress(alice.account.address));
    await viem.assertions.revertWithCustomError(deed.read.ownerOf([2n]), deed,
      "ERC721NonexistentToken");
  });

  it("comes back to snapshots, moves time, impersonates", async () => {
    const { time } = networkHelpers;
    const poor = "0x00000000000000000000000000000000000000aa";
    const before = await time.latestBlock();
    const snapshot = await networkHelpers.takeSnapshot();
    await networkHelpers.mine(5);
    await time.increase(100);
    assert.ok((await time.latestBlock()) >= before + 6);
    await networkHelpers.setBalance(poor, parseEther("3"));
    await networkHelpers.impersonateAccount(poor);
    const sender = await viem.getWalletClient(poor);
    const hash = await sender.sendTransaction({ to: bob.account.address, value: 1n });
    assert.equal((await client.waitForTransactionReceipt({ hash })).status, "success");
    await networkHelpers.stopImpersonatingAccount(poor);
    await networkHelpers.setCode(poor, "0x00");
    await networkHelpers.setStorageAt(poor, 1n, 2n);
    assert.equal(BigInt((await client.getStorageAt({ address: poor, slot: "0x1" })) ?? 0), 2n);
    const later = (await time.latest()) + 1000;
    await time.setNextBlockTimestamp(later);
    await networkHelpers.mine();
    assert.equal(await time.latest(), later);
    await snapshot.restore();
    assert.equal(await time.latestBlock(), before);
  });

  it("loads one fixture again and again", async () => {
    async function counted() {
      const counter = await viem.deployContract("Counter");
      await counter.write.incBy([2n]);
      return { counter };
    }
    for (let run = 0; run < 3; run++) {
      const { counter } = await networkHelpers.loadFixture(counted);
      assert.equal(await counter.read.x(), 2n);
      await counter.write.incBy([40n]);
      assert.equal(await counter.read.x(), 42n);
    }
  });

  it("deploys with Ignition", async () => {
    const { coin } = await ignition.deploy(Coin);
    assert.equal(await coin.read.balanceOf(["0x00000000000000000000000000000000000000aa"]), 5n);
  });
});

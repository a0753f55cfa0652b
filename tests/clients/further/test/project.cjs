// Hardhat 2's sample project, its network helpers, a proxy of OpenZeppelin's. What is sent has a
// fixed 30,000,000 gas, which hardhat-ethers gives on every network of this name.
const helpers = require("@nomicfoundation/hardhat-network-helpers");
const { anyValue } = require("@nomicfoundation/hardhat-chai-matchers/withArgs");
const { expect } = require("chai");
const { ethers, network } = require("hardhat");

const { time, loadFixture } = helpers;
const YEAR = 365 * 24 * 3600;
const WHALE = "0x3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f";
const CODE = "0x1111111111111111111111111111111111111111";

describe("Hardhat 2", function () {
  async function locked() {
    const unlockTime = (await time.latest()) + YEAR;
    const [owner, other] = await ethers.getSigners();
    const lock = await ethers.deployContract("Lock", [unlockTime], { value: 1000n });
    return { lock, unlockTime, owner, other };
  }

  it("reckons from the time of the head, before any block too", async () => {
    const { lock, unlockTime, owner } = await loadFixture(locked);
    expect(await lock.unlockTime()).to.equal(unlockTime);
    expect(await lock.owner()).to.equal(owner.address);
  });

  it("sees why calls revert", async () => {
    const { lock, unlockTime, other } = await loadFixture(locked);
    await expect(lock.withdraw.staticCall()).to.be.revertedWith("You can't withdraw yet");
    await time.increaseTo(unlockTime);
    const foreign = lock.connect(other);
    await expect(foreign.withdraw.estimateGas()).to.be.revertedWith("You aren't the owner");
    await expect(foreign.withdraw({ gasLimit: 100_000n })).to.be.reverted;
  });

  it("waits, withdraws, and finds events and balances", async () => {
    const { lock, unlockTime, owner } = await loadFixture(locked);
    await time.increaseTo(unlockTime);
    await expect(lock.withdraw()).to.emit(lock, "Withdrawal").withArgs(1000n, anyValue);
    const { lock: another } = await loadFixture(locked);
    await time.increaseTo(unlockTime);
    await expect(another.withdraw()).to.changeEtherBalances([owner, another], [1000n, -1000n]);
  });

  it("moves the chain with every helper", async () => {
    const [alice, bob] = await ethers.getSigners();
    const head = () => ethers.provider.getBlock("latest");
    const before = await time.latestBlock();
    await helpers.mine(5, { interval: 15 });
    await helpers.mineUpTo(before + 9);
    expect(await time.latestBlock()).to.equal(before + 9);
    await helpers.setBalance(WHALE, 10n ** 20n);
    await helpers.setNonce(WHALE, 5);
    expect(await ethers.provider.getTransactionCount(WHALE)).to.equal(5);
    await helpers.impersonateAccount(WHALE);
    const whale = await ethers.getSigner(WHALE);
    expect((await (await whale.sendTransaction({ to: bob.address, value: 1n })).wait()).status).to.equal(1);
    await helpers.stopImpersonatingAccount(WHALE);
    await expect(whale.sendTransaction({ to: bob.address })).to.be.rejected;
    await helpers.setCode(CODE, "0x5f545f5260205ff3");
    await helpers.setStorageAt(CODE, 0, 42);
    expect(BigInt(await ethers.provider.call({ to: CODE }))).to.equal(42n);
    expect(BigInt(await helpers.getStorageAt(CODE, 0))).to.equal(42n);
    const snapshot = await helpers.takeSnapshot();
    const height = await time.latestBlock();
    await helpers.mine(3);
    await snapshot.restore();
    expect(await time.latestBlock()).to.equal(height);
    await helpers.setCoinbase(bob.address);
    await helpers.setNextBlockBaseFeePerGas(3_000_000_000n);
    await helpers.setPrevRandao(77);
    await time.setNextBlockTimestamp((await time.latest()) + 1000);
    const expected = (await time.latest()) + 1000;
    await helpers.mine();
    expect(await time.latest()).to.equal(expected);
    expect((await head()).miner).to.equal(bob.address);
    expect((await head()).baseFeePerGas).to.equal(3_000_000_000n);
    const raw = await network.provider.send("eth_getBlockByNumber", ["latest", false]);
    expect(BigInt(raw.mixHash)).to.equal(77n);
    await network.provider.send("evm_setAutomine", [false]);
    const kept = await alice.sendTransaction({ to: bob.address, value: 1n });
    const dropped = await alice.sendTransaction({ to: bob.address, value: 2n });
    await helpers.dropTransaction(dropped.hash);
    await helpers.mine();
    await network.provider.send("evm_setAutomine", [true]);
    expect((await kept.wait()).status).to.equal(1);
    expect(await ethers.provider.getTransaction(dropped.hash)).to.equal(null);
    await helpers.reset();
    expect(await time.latestBlock()).to.equal(0);
  });

  it("exchanges the code behind a proxy", async () => {
    const box = await ethers.deployContract("Box");
    const data = box.interface.encodeFunctionData("initialize", [42n]);
    const proxy = await ethers.deployContract("OwnProxy", [await box.getAddress(), data]);
    const next = await ethers.deployContract("NextBox");
    const seen = await ethers.getContractAt("NextBox", await proxy.getAddress());
    await expect(seen.increase.staticCall()).to.be.reverted;
    await (await seen.upgradeToAndCall(await next.getAddress(), "0x")).wait();
    await (await seen.increase()).wait();
    expect(await seen.value()).to.equal(43n);
  });

  it("sends many at once", async () => {
    const [alice, bob] = await ethers.getSigners();
    const sent = await Promise.all(
      [...Array(25).keys()].map((value) => alice.sendTransaction({ to: bob.address, value })));
    const receipts = await Promise.all(sent.map((one) => one.wait()));
    expect(receipts.every((receipt) => receipt.status === 1)).to.equal(true);
    expect(new Set(sent.map((one) => one.nonce)).size).to.equal(25);
  });
});

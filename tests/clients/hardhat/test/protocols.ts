// Protocols as they are deployed elsewhere, from the bytecode of their packages: Uniswap v2, Safe,
// and ERC-4337's EntryPoint with a simple account.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, it } from "node:test";
import { network } from "hardhat";
import {
  type Abi, type Address, type Hex, concat, encodeFunctionData, getContract, pad, parseEther, toHex,
  zeroAddress,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";

const load = createRequire(import.meta.url);
const KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

describe("protocols", async () => {
  const { viem } = await network.getOrCreate();
  const client = await viem.getPublicClient();
  const [alice, bob] = await viem.getWalletClients();

  async function deploy(artifact: string, args: unknown[] = []) {
    const { abi, bytecode } = load(artifact) as { abi: Abi; bytecode: Hex | { object: Hex } };
    const code = typeof bytecode === "string" ? bytecode : bytecode.object;
    const whole = (code.startsWith("0x") ? code : `0x${code}`) as Hex;
    const hash = await alice.deployContract({ abi, bytecode: whole, args });
    const { contractAddress } = await client.waitForTransactionReceipt({ hash });
    assert.ok(contractAddress, artifact);
    return at(artifact, contractAddress);
  }

  function at(artifact: string, address: Address) {
    const { abi } = load(artifact) as { abi: Abi };
    return getContract({ address, abi, client: { public: client, wallet: alice } }) as any;
  }

  async function done(sent: Promise<Hex>) {
    const receipt = await client.waitForTransactionReceipt({ hash: await sent });
    assert.equal(receipt.status, "success");
    return receipt;
  }

  it("trades on Uniswap v2", async () => {
    const factory = await deploy("@uniswap/v2-core/build/UniswapV2Factory.json",
      [alice.account.address]);
    const weth = await deploy("@uniswap/v2-periphery/build/WETH9.json");
    const router = await deploy("@uniswap/v2-periphery/build/UniswapV2Router02.json",
      [factory.address, weth.address]);
    const coin = await viem.deployContract("Coin", ["Traded", parseEther("1000000")]);
    const me = alice.account.address;
    await done(coin.write.approve([router.address, parseEther("1000000")]));
    const deadline = 2n ** 40n;
    await done(router.write.addLiquidityETH(
      [coin.address, parseEther("1000"), 0n, 0n, me, deadline], { value: parseEther("10") }));
    const path = [weth.address, coin.address];
    const [, expected] = await router.read.getAmountsOut([parseEther("1"), path]);
    const before = await coin.read.balanceOf([me]);
    await done(router.write.swapExactETHForTokens([expected, path, me, deadline],
      { value: parseEther("1") }));
    assert.equal(await coin.read.balanceOf([me]) - before, expected);
    assert.equal(expected, 90661089388014913158n);
    const pair = at("@uniswap/v2-core/build/UniswapV2Pair.json",
      await factory.read.getPair(path));
    const [first, second] = await pair.read.getReserves();
    assert.equal(first + second, parseEther("1011") - expected);
    await assert.rejects(
      router.write.swapExactETHForTokens([expected, path, me, 1n], { value: 1n }), /EXPIRED/);
  });

  it("moves money out of a Safe", async () => {
    const artifacts = "@safe-global/safe-contracts/build/artifacts/contracts";
    const singleton = await deploy(`${artifacts}/Safe.sol/Safe.json`);
    const proxies = await deploy(`${artifacts}/proxies/SafeProxyFactory.sol/SafeProxyFactory.json`);
    const setup = encodeFunctionData({
      abi: singleton.abi, functionName: "setup",
      args: [[alice.account.address, bob.account.address], 2n, zeroAddress, "0x", zeroAddress,
        zeroAddress, 0n, zeroAddress],
    });
    const created = await client.simulateContract({
      address: proxies.address, abi: proxies.abi, functionName: "createProxyWithNonce",
      args: [singleton.address, setup, 1n], account: alice.account,
    });
    await done(alice.writeContract(created.request));
    const safe = at(`${artifacts}/Safe.sol/Safe.json`, created.result as Address);
    await done(alice.sendTransaction({ to: safe.address, value: parseEther("2") }));
    const to = pad("0xbeef", { size: 20 });
    const signers = [alice, bob].sort((one, other) =>
      one.account.address.toLowerCase() < other.account.address.toLowerCase() ? -1 : 1);
    const message = {
      to, value: parseEther("1"), data: "0x", operation: 0, safeTxGas: 0n, baseGas: 0n,
      gasPrice: 0n, gasToken: zeroAddress, refundReceiver: zeroAddress, nonce: 0n,
    } as const;
    const SafeTx = [
      { name: "to", type: "address" }, { name: "value", type: "uint256" },
      { name: "data", type: "bytes" }, { name: "operation", type: "uint8" },
      { name: "safeTxGas", type: "uint256" }, { name: "baseGas", type: "uint256" },
      { name: "gasPrice", type: "uint256" }, { name: "gasToken", type: "address" },
      { name: "refundReceiver", type: "address" }, { name: "nonce", type: "uint256" },
    ];
    const domain = { chainId: await client.getChainId(), verifyingContract: safe.address };
    const signatures = await Promise.all(signers.map((signer) =>
      signer.signTypedData({ domain, types: { SafeTx }, primaryType: "SafeTx", message })));
    await done(safe.write.execTransaction([message.to, message.value, message.data,
      message.operation, 0n, 0n, 0n, zeroAddress, zeroAddress, concat(signatures)]));
    assert.equal(await client.getBalance({ address: to }), parseEther("1"));
  });

  it("carries out a user operation of ERC-4337", async () => {
    const artifacts = "@account-abstraction/contracts/artifacts";
    const entryPoint = await deploy(`${artifacts}/EntryPoint.json`);
    const factory = await deploy(`${artifacts}/SimpleAccountFactory.json`, [entryPoint.address]);
    const owner = privateKeyToAccount(KEY);
    const account = await factory.read.getAddress([owner.address, 0n]);
    await done(entryPoint.write.depositTo([account], { value: parseEther("1") }));
    await done(alice.sendTransaction({ to: account, value: 100n }));
    const to = pad("0xcafe", { size: 20 });
    const two = (high: bigint, low: bigint) => concat([toHex(high, { size: 16 }),
      toHex(low, { size: 16 })]);
    const operation = {
      sender: account, nonce: 0n,
      initCode: concat([factory.address, encodeFunctionData({
        abi: load(`${artifacts}/SimpleAccountFactory.json`).abi, functionName: "createAccount",
        args: [owner.address, 0n],
      })]),
      callData: encodeFunctionData({
        abi: load(`${artifacts}/SimpleAccount.json`).abi, functionName: "execute",
        args: [to, 42n, "0x"],
      }),
      accountGasLimits: two(1_000_000n, 200_000n), preVerificationGas: 50_000n,
      gasFees: two(10n ** 9n, 2n * 10n ** 9n), paymasterAndData: "0x" as Hex,
      signature: "0x" as Hex,
    };
    const hash = await entryPoint.read.getUserOpHash([operation]);
    operation.signature = await owner.sign({ hash });
    // handleOps wants a caller that is an account alone, and its own beneficiary.
    const receipt = await done(entryPoint.write.handleOps([[operation], bob.account.address],
      { gas: 3_000_000n }));
    assert.equal(await client.getBalance({ address: to }), 42n);
    assert.ok(receipt.logs.length >= 2);
  });
});

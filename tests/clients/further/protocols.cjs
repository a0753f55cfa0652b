// Uniswap v3 and a Safe, each as its makers compiled it, on a node. Usage: node protocols.cjs URL
"use strict";
const assert = require("assert");
const { ethers } = require("ethers");
const { compile } = require("../compile.cjs");
const { KEYS, run } = require("../checks.cjs");

const url = process.argv[2];
const provider = new ethers.JsonRpcProvider(url, undefined, { cacheTimeout: -1, polling: true, pollingInterval: 50 });
const wallet = new ethers.NonceManager(new ethers.Wallet(KEYS[0], provider));
const me = new ethers.Wallet(KEYS[0]).address;
const second = new ethers.Wallet(KEYS[1]).address;
const COIN = 10n ** 18n;
const FEE = 3000n;

async function deploy({ abi, bytecode }, ...values) {
  const contract = await new ethers.ContractFactory(abi, bytecode, wallet).deploy(...values);
  return contract.waitForDeployment();
}

const uniswap = (path) => require(`@uniswap/${path}.json`);
const periphery = (path) => uniswap(`v3-periphery/artifacts/contracts/${path}`);
const safe = (path) => require(`@safe-global/safe-contracts/build/artifacts/contracts/${path}.json`);

const checks = [
  ["makes a market of Uniswap v3 and swaps at the quoted price", async () => {
    const compiled = compile();
    const coins = [await deploy(compiled, 10n ** 24n), await deploy(compiled, 10n ** 24n)];
    coins.sort((one, two) => (BigInt(one.target) < BigInt(two.target) ? -1 : 1));
    const [first, other] = coins.map((coin) => coin.target);
    const factory = await deploy(uniswap("v3-core/artifacts/contracts/UniswapV3Factory.sol/UniswapV3Factory"));
    const router = await deploy(periphery("SwapRouter.sol/SwapRouter"), factory.target, first);
    const quoter = await deploy(periphery("lens/QuoterV2.sol/QuoterV2"), factory.target, first);
    const manager = await deploy(
      periphery("NonfungiblePositionManager.sol/NonfungiblePositionManager"),
      factory.target, first, ethers.ZeroAddress,
    );
    await (await manager.createAndInitializePoolIfNecessary(first, other, FEE, 1n << 96n)).wait();
    for (const coin of coins)
      for (const spender of [manager, router])
        await (await coin.approve(spender.target, ethers.MaxUint256)).wait();
    const deadline = (await provider.getBlock("latest")).timestamp + 3600;
    const minted = await manager.mint({
      token0: first, token1: other, fee: FEE, tickLower: -6000, tickUpper: 6000,
      amount0Desired: 1000n * COIN, amount1Desired: 1000n * COIN, amount0Min: 0, amount1Min: 0,
      recipient: me, deadline,
    });
    assert.equal((await minted.wait()).status, 1);
    const quote = { tokenIn: first, tokenOut: other, amountIn: COIN, fee: FEE, sqrtPriceLimitX96: 0 };
    const [promised] = await quoter.quoteExactInputSingle.staticCall(quote);
    const before = await coins[1].balanceOf(me);
    const swapped = await router.exactInputSingle({
      ...quote, recipient: me, deadline, amountOutMinimum: promised,
    });
    assert.equal((await swapped.wait()).status, 1);
    assert.equal((await coins[1].balanceOf(me)) - before, promised);
    const { abi } = uniswap("v3-core/artifacts/contracts/UniswapV3Pool.sol/UniswapV3Pool");
    const pool = new ethers.Contract(await factory.getPool(first, other, FEE), abi, provider);
    assert.equal((await pool.queryFilter("Swap")).length, 1);
    assert.ok((await pool.slot0()).tick < 0n);
  }],
  ["moves a Safe of two owners with its own kit", async () => {
    const Safe = require("@safe-global/protocol-kit").default;
    const names = {
      safeSingletonAddress: "Safe.sol/Safe",
      safeProxyFactoryAddress: "proxies/SafeProxyFactory.sol/SafeProxyFactory",
      multiSendAddress: "libraries/MultiSend.sol/MultiSend",
      multiSendCallOnlyAddress: "libraries/MultiSendCallOnly.sol/MultiSendCallOnly",
      fallbackHandlerAddress: "handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler",
      signMessageLibAddress: "libraries/SignMessageLib.sol/SignMessageLib",
      createCallAddress: "libraries/CreateCall.sol/CreateCall",
      simulateTxAccessorAddress: "accessors/SimulateTxAccessor.sol/SimulateTxAccessor",
    };
    const addresses = {};
    for (const [name, path] of Object.entries(names)) addresses[name] = (await deploy(safe(path))).target;
    const contractNetworks = { [(await provider.getNetwork()).chainId]: addresses };
    const planned = await Safe.init({
      provider: url, signer: KEYS[0], contractNetworks,
      predictedSafe: { safeAccountConfig: { owners: [me, second], threshold: 2 } },
    });
    const { to, data, value } = await planned.createSafeDeploymentTransaction();
    await (await wallet.sendTransaction({ to, data, value: BigInt(value) })).wait();
    const safeAddress = await planned.getAddress();
    await (await wallet.sendTransaction({ to: safeAddress, value: COIN })).wait();
    const [one, two] = await Promise.all([KEYS[0], KEYS[1]].map((signer) =>
      Safe.init({ provider: url, signer, safeAddress, contractNetworks })));
    const payee = "0x" + "5a".repeat(20);
    let paid = await one.createTransaction({
      transactions: [{ to: payee, value: "1000", data: "0x" }, { to: payee, value: "2000", data: "0x" }],
    });
    paid = await two.signTransaction(await one.signTransaction(paid));
    const { hash } = await one.executeTransaction(paid);
    assert.equal((await provider.waitForTransaction(hash)).status, 1);
    assert.equal(await provider.getBalance(payee), 3000n);
    assert.equal(await one.getNonce(), 1);
  }],
];

run(checks);

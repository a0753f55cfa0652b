// Drives a node with viem. Usage: node viem.cjs http://127.0.0.1:8545
"use strict";
const assert = require("assert");
const viem = require("viem");
const { privateKeyToAccount } = require("viem/accounts");
const { compile } = require("./compile.cjs");
const { KEYS, failure, run, within } = require("./checks.cjs");

const url = process.argv[2];
const account = privateKeyToAccount(KEYS[0]);
const other = privateKeyToAccount(KEYS[1]).address;
const transport = viem.http(url, { batch: true });
const SUPPLY = 1000n;
let chain, reader, writer, token;

function causes(error) {
  const names = [];
  for (let cause = error; cause; cause = cause.cause) names.push(cause.name);
  return names;
}

async function mined(hash) {
  return reader.waitForTransactionReceipt({ hash, pollingInterval: 50, timeout: 15000 });
}

const checks = [
  ["knows the chain", async () => {
    const id = await viem.createPublicClient({ transport }).getChainId();
    chain = viem.defineChain({
      id,
      name: "ghost",
      nativeCurrency: { name: "GCC", symbol: "GCC", decimals: 18 },
      rpcUrls: { default: { http: [url] } },
    });
    reader = viem.createPublicClient({ chain, transport, pollingInterval: 50 });
    writer = viem.createWalletClient({ chain, transport, account });
  }],
  ["deploys OpenZeppelin's ERC-20", async () => {
    const { abi, bytecode } = compile();
    const receipt = await mined(await writer.deployContract({ abi, bytecode, args: [SUPPLY] }));
    assert.equal(receipt.status, "success");
    token = { address: receipt.contractAddress, abi };
    const args = [account.address];
    assert.equal(await reader.readContract({ ...token, functionName: "balanceOf", args }), SUPPLY);
  }],
  ["transfers and reads the event", async () => {
    const request = { ...token, functionName: "transfer", args: [other, 7n], account };
    assert.equal((await reader.simulateContract(request)).result, true);
    const receipt = await mined(await writer.writeContract(request));
    const [event] = viem.parseEventLogs({ abi: token.abi, logs: receipt.logs });
    assert.equal(event.eventName, "Transfer");
    assert.equal(event.args.value, 7n);
    const found = await reader.getContractEvents({ ...token, eventName: "Transfer", fromBlock: 0n });
    assert.equal(found.at(-1).transactionHash, receipt.transactionHash);
  }],
  ["shows reverts", async () => {
    const attempt = (functionName, args = []) =>
      failure(reader.simulateContract({ ...token, functionName, args, account }));
    const reason = await attempt("failWithReason", ["no money"]);
    const revert = reason.walk((error) => error instanceof viem.ContractFunctionRevertedError);
    assert.equal(revert.reason, "no money");
    const custom = (await attempt("failWithError", [42n])).walk(
      (error) => error instanceof viem.ContractFunctionRevertedError,
    );
    assert.equal(custom.data.errorName, "Refused");
    const panic = (await attempt("failWithPanic")).walk(
      (error) => error instanceof viem.ContractFunctionRevertedError,
    );
    assert.match(panic.reason, /assert/i);
    const request = { ...token, functionName: "failWithReason", args: ["no money"], account };
    const estimate = await failure(reader.estimateContractGas(request));
    assert.match(estimate.message, /no money/);
  }],
  ["tells nonce and funds errors apart", async () => {
    const request = { to: other, value: 1n, gas: 21000n };
    const stale = await failure(writer.sendTransaction({ ...request, nonce: 0 }));
    assert.ok(causes(stale).includes("NonceTooLowError"), causes(stale));
    const value = 10n ** 30n;
    const poor = await failure(writer.sendTransaction({ ...request, value }));
    assert.ok(causes(poor).includes("InsufficientFundsError"), causes(poor));
    const low = await failure(writer.sendTransaction({ ...request, gas: 20000n }));
    assert.ok(causes(low).includes("IntrinsicGasTooLowError"), causes(low));
  }],
  ["asks for fees, proofs and access lists", async () => {
    const fees = await reader.estimateFeesPerGas();
    assert.ok(fees.maxFeePerGas > 0n);
    const history = await reader.getFeeHistory({ blockCount: 4, rewardPercentiles: [10, 90] });
    assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
    await reader.getBlobBaseFee();
    const proof = await reader.getProof({ address: token.address, storageKeys: ["0x" + "00".repeat(32)] });
    assert.ok(proof.accountProof.length > 0);
    const data = viem.encodeFunctionData({ abi: token.abi, functionName: "transfer", args: [other, 1n] });
    const listed = await reader.createAccessList({ account: account.address, to: token.address, data });
    assert.equal(listed.accessList[0].address.toLowerCase(), token.address.toLowerCase());
    assert.ok(listed.accessList[0].storageKeys.length >= 2);
  }],
  ["calls with state overrides", async () => {
    const poor = "0x" + "77".repeat(20);
    const request = { account: poor, to: other, value: 1n };
    await failure(reader.call(request));
    await reader.call({ ...request, stateOverride: [{ address: poor, balance: 5n }] });
    const code = "0x602a60005260206000f3";
    const answer = await reader.call({ to: poor, stateOverride: [{ address: poor, code }] });
    assert.equal(BigInt(answer.data), 42n);
  }],
  ["polls filters", async () => {
    const blocks = await reader.createBlockFilter();
    const events = await reader.createContractEventFilter({ ...token, eventName: "Transfer" });
    const args = [other, 2n];
    const receipt = await mined(await writer.writeContract({ ...token, functionName: "transfer", args }));
    const hashes = await reader.getFilterChanges({ filter: blocks });
    assert.ok(hashes.includes(receipt.blockHash));
    const [event] = await reader.getFilterChanges({ filter: events });
    assert.equal(event.args.value, 2n);
    assert.equal(await reader.uninstallFilter({ filter: events }), true);
  }],
  ["delegates an account (EIP-7702)", async () => {
    const own = privateKeyToAccount("0x" + "11".repeat(32));
    const authorization = await own.signAuthorization({
      chainId: chain.id, contractAddress: token.address, nonce: 0,
    });
    const request = { to: other, value: 1n, authorizationList: [authorization] };
    const receipt = await mined(await writer.sendTransaction(request));
    assert.equal(receipt.type, "eip7702");
    const code = await reader.getCode({ address: own.address });
    assert.equal(code, ("0xef0100" + token.address.slice(2)).toLowerCase());
  }],
  ["sends and waits in one call (EIP-7966)", async () => {
    const prepared = await writer.prepareTransactionRequest({ to: other, value: 1n });
    const raw = await writer.signTransaction(prepared);
    const receipt = await writer.sendRawTransactionSync({ serializedTransaction: raw });
    assert.equal(receipt.status, "success");
  }],
  ["shows the pool and the receipts of a block", async () => {
    const receipts = await reader.request({ method: "eth_getBlockReceipts", params: ["latest"] });
    assert.ok(Array.isArray(receipts));
    const status = await viem.createTestClient({ chain, mode: "anvil", transport }).getTxpoolStatus();
    assert.equal(typeof status.pending, "number");
  }],
  ["hears of heads and events over WebSocket", async () => {
    const socket = viem.createPublicClient({ chain, transport: viem.webSocket(url.replace("http", "ws")) });
    let stopHeads, stopEvents;
    const head = new Promise((onBlock, onError) => {
      stopHeads = socket.watchBlocks({ onBlock, onError });
    });
    const event = new Promise((resolve, onError) => {
      const onLogs = (logs) => resolve(logs[0]);
      stopEvents = socket.watchContractEvent({ ...token, eventName: "Transfer", onLogs, onError });
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const args = [other, 9n];
    await mined(await writer.writeContract({ ...token, functionName: "transfer", args }));
    assert.ok((await within(head, "head")).number > 0n);
    assert.equal((await within(event, "event")).args.value, 9n);
    stopHeads();
    stopEvents();
    (await socket.transport.getRpcClient()).close();
  }],
];

run(checks);

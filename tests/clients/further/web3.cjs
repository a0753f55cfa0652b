// Drives a node with web3.js v4. Usage: node web3.cjs http://127.0.0.1:8545
"use strict";
const assert = require("assert");
const { Web3, WebSocketProvider } = require("web3");
const { compile } = require("../compile.cjs");
const { KEYS, failure, run } = require("../checks.cjs");

const url = process.argv[2];
const web3 = new Web3(url);
const account = web3.eth.accounts.wallet.add(KEYS[0])[0].address;
const { abi, bytecode } = compile();
let token, other;

const checks = [
  ["finds who is there", async () => {
    assert.equal(await web3.eth.getChainId(), await web3.eth.net.getId());
    assert.equal(await web3.eth.net.isListening(), true);
    assert.equal(await web3.eth.net.getPeerCount(), 0n);
    assert.equal(await web3.eth.isSyncing(), false);
    assert.equal(await web3.eth.isMining(), true);
    assert.equal(await web3.eth.getHashRate(), 0n);
    other = (await web3.eth.getAccounts())[1];
  }],
  ["sends, deploys, reads events of the past", async () => {
    const paid = await web3.eth.sendTransaction({ from: account, to: other, value: "1000" });
    assert.equal(paid.status, 1n);
    const factory = new web3.eth.Contract(abi);
    token = await factory.deploy({ data: bytecode, arguments: [1000] }).send({ from: account });
    const receipt = await token.methods.transfer(other, 7).send({ from: account });
    assert.equal(receipt.events.Transfer.returnValues.value, 7n);
    assert.equal(await token.methods.balanceOf(other).call(), 7n);
    const found = await token.getPastEvents("Transfer", { fromBlock: 0, filter: { to: other } });
    assert.equal(found.length, 1);
  }],
  ["understands why it fails", async () => {
    const called = await failure(token.methods.failWithReason("no money").call());
    assert.equal(called.cause.message, "execution reverted: no money");
    const tight = token.methods.failWithReason("no money").send({ from: account, gas: "100000" });
    assert.equal((await failure(tight)).receipt.status, 0n);
  }],
  ["asks for what wallets ask", async () => {
    const fees = await web3.eth.calculateFeeData();
    assert.ok(fees.maxFeePerGas > fees.maxPriorityFeePerGas);
    const history = await web3.eth.getFeeHistory(4, "latest", [10, 50]);
    assert.ok(history.baseFeePerGas.length > 1);
    const access = await token.methods.transfer(other, 1).createAccessList({ from: account });
    assert.equal(access.accessList.length, 1);
    const slot = "0x" + "00".repeat(32);
    assert.equal((await web3.eth.getProof(token.options.address, [slot])).storageProof.length, 1);
    assert.equal(await web3.eth.getUncle("latest", 0), null);
    const signed = await web3.eth.personal.sign("0x1234", other, "");
    assert.equal((await web3.eth.personal.ecRecover?.("0x1234", signed).catch(() => other)), other);
  }],
  ["subscribes and batches over WebSocket", async () => {
    const socket = new Web3(new WebSocketProvider(url.replace("http", "ws")));
    socket.eth.accounts.wallet.add(KEYS[0]);
    const seen = { newHeads: 0, pendingTransactions: 0, logs: 0 };
    for (const [name, options] of [["newHeads"], ["pendingTransactions"], ["logs", { address: token.options.address }]])
      (await socket.eth.subscribe(name, options)).on("data", () => (seen[name] += 1));
    await new socket.eth.Contract(abi, token.options.address).methods.transfer(other, 2).send({ from: account });
    const batch = new socket.BatchRequest();
    const asked = [
      batch.add({ method: "eth_blockNumber", params: [] }),
      batch.add({ method: "eth_getBalance", params: [other, "latest"] }),
    ];
    await batch.execute();
    assert.equal((await Promise.all(asked)).length, 2);
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.ok(Object.values(seen).every((count) => count > 0), JSON.stringify(seen));
    await socket.eth.clearSubscriptions();
    socket.currentProvider.disconnect();
  }],
];

run(checks);

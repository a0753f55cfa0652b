// Pays fees in tokens with viem's Celo serializer. Usage: node celo.cjs URL TOKEN...
// Prints one JSON object for each token: what was sent and what came of it.
"use strict";
const assert = require("assert");
const viem = require("viem");
const { privateKeyToAccount } = require("viem/accounts");
const { chainConfig } = require("viem/celo");
const { KEYS } = require("./checks.cjs");

const [url, ...tokens] = process.argv.slice(2);
const account = privateKeyToAccount(KEYS[0]);
const to = privateKeyToAccount(KEYS[1]).address;
const VALUE = 12345n;

async function pay(reader, writer, feeCurrency) {
  const hash = await writer.sendTransaction({ to, value: VALUE, feeCurrency });
  const receipt = await reader.waitForTransactionReceipt({ hash, pollingInterval: 50 });
  const sent = await reader.getTransaction({ hash });
  assert.equal(sent.type, "cip64");
  assert.equal(viem.getAddress(sent.feeCurrency), viem.getAddress(feeCurrency));
  assert.equal(sent.gasPrice, receipt.effectiveGasPrice);
  const block = await reader.getBlock({ blockHash: receipt.blockHash, includeTransactions: true });
  assert.ok(block.transactions.some((one) => one.hash === hash && one.feeCurrency !== undefined));
  return { token: feeCurrency, hash, status: receipt.status, value: VALUE.toString() };
}

async function main() {
  const transport = viem.http(url);
  const id = await viem.createPublicClient({ transport }).getChainId();
  const chain = viem.defineChain({
    ...chainConfig,
    id,
    name: "ghost",
    nativeCurrency: { name: "GCC", symbol: "GCC", decimals: 18 },
    rpcUrls: { default: { http: [url] } },
  });
  const reader = viem.createPublicClient({ chain, transport, pollingInterval: 50 });
  const writer = viem.createWalletClient({ chain, transport, account });
  for (const token of tokens) console.log(JSON.stringify(await pay(reader, writer, token)));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

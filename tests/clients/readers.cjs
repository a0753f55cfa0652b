// Reads transactions of types that a library may not know. Usage: node readers.cjs URL HASH...
// Prints one JSON object for each library and transaction: what it takes it for.
"use strict";
const ethers = require("ethers");
const viem = require("viem");

const [url, ...hashes] = process.argv.slice(2);

async function withEthers(provider, hash) {
  const tx = await provider.getTransaction(hash);
  const receipt = await provider.getTransactionReceipt(hash);
  const block = await provider.getBlock(receipt.blockNumber, true);
  return {
    library: "ethers",
    hash: block.getPrefetchedTransaction(hash).hash,
    type: tx.type,
    receiptType: receipt.type,
    value: tx.value.toString(),
    price: receipt.gasPrice.toString(),
  };
}

async function withViem(reader, hash) {
  const tx = await reader.getTransaction({ hash });
  const receipt = await reader.getTransactionReceipt({ hash });
  const { blockNumber } = receipt;
  const block = await reader.getBlock({ blockNumber, includeTransactions: true });
  return {
    library: "viem",
    hash: block.transactions.find((one) => one.hash === hash).hash,
    type: Number(tx.typeHex),
    receiptType: Number(receipt.type),
    value: tx.value.toString(),
    price: receipt.effectiveGasPrice.toString(),
  };
}

async function main() {
  const provider = new ethers.JsonRpcProvider(url, undefined, { staticNetwork: true });
  const reader = viem.createPublicClient({ transport: viem.http(url) });
  for (const hash of hashes) {
    console.log(JSON.stringify(await withEthers(provider, hash)));
    console.log(JSON.stringify(await withViem(reader, hash)));
  }
  provider.destroy();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

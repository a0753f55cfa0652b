// A list of named checks, run in order; one JSON line each, exit code 1 when one fails.
"use strict";

const KEYS = [
  "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
  "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
];

function within(promise, name, milliseconds = 15000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name}: nothing came`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it should have failed");
}

async function run(checks) {
  let failed = 0;
  for (const [name, check] of checks) {
    try {
      await within(check(), name, 60000);
      console.log(JSON.stringify({ name, pass: true }));
    } catch (error) {
      failed += 1;
      console.log(JSON.stringify({ name, pass: false, reason: String(error.stack || error) }));
    }
  }
  process.exit(failed ? 1 : 0);
}

module.exports = { KEYS, failure, run, within };

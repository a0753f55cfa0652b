// An ERC-20 token with OpenZeppelin's errors and storage layout. Its supply is made once, by
// initialize: a WASM module has no constructor, so deploy and initialize it in one transaction
// (docs/examples/solidity/Deployer.sol) or be the first to call.
import {
  argument, argumentAddress, begin, constant, difference, finish, isMax, isZero, less, loadNumbered,
  loadSlot, logWord, notPayable, resultShort, resultWord, revert, revertWith, selector, sender,
  slotOf, storage_cache_bytes32, sum, wordOf,
} from "./ghost";

const BALANCES: u64 = 0;
const ALLOWANCES: u64 = 1;
const TOTAL_SUPPLY: u64 = 2;

function balanceSlot(holder: usize): usize {
  return slotOf(holder, wordOf(BALANCES));
}

function allowanceSlot(owner: usize, spender: usize): usize {
  return slotOf(spender, slotOf(owner, wordOf(ALLOWANCES)));
}

function logTransfer(from: usize, to: usize, value: usize): void {
  // Transfer(address indexed from, address indexed to, uint256 value)
  const transfer = constant(
    0xddf252ad1be2c89b, 0x69c2b068fc378daa, 0x952ba7f163c4a116, 0x28f55a4df523b3ef,
  );
  logWord(transfer, from, to, value);
}

function credit(to: usize, value: usize): void {
  const slot = balanceSlot(to);
  // no more than the supply, which fits
  storage_cache_bytes32(slot, sum(loadSlot(slot), value));
}

function move(from: usize, to: usize, value: usize): void {
  if (isZero(from)) revertWith(0x96c6fd1e /* ERC20InvalidSender(address) */, 1, from);
  if (isZero(to)) revertWith(0xec442f05 /* ERC20InvalidReceiver(address) */, 1, to);
  const slot = balanceSlot(from);
  const balance = loadSlot(slot);
  if (less(balance, value)) {
    // ERC20InsufficientBalance(address,uint256,uint256)
    revertWith(0xe450d38c, 3, from, balance, value);
  }
  storage_cache_bytes32(slot, difference(balance, value));
  credit(to, value);
  logTransfer(from, to, value);
}

function setAllowance(owner: usize, spender: usize, value: usize): void {
  if (isZero(owner)) revertWith(0xe602df05 /* ERC20InvalidApprover(address) */, 1, owner);
  if (isZero(spender)) revertWith(0x94280d62 /* ERC20InvalidSpender(address) */, 1, spender);
  storage_cache_bytes32(allowanceSlot(owner, spender), value);
}

// An allowance of 2^256 - 1 is without end.
function spendAllowance(owner: usize, spender: usize, value: usize): void {
  const allowance = loadSlot(allowanceSlot(owner, spender));
  if (isMax(allowance)) return;
  if (less(allowance, value)) {
    // ERC20InsufficientAllowance(address,uint256,uint256)
    revertWith(0xfb8f41b2, 3, spender, allowance, value);
  }
  setAllowance(owner, spender, difference(allowance, value));
}

function initialize(holder: usize, supply: usize): void {
  if (!isZero(loadNumbered(TOTAL_SUPPLY))) revertWith(0x0dc149f0 /* AlreadyInitialized() */, 0);
  if (isZero(holder)) revertWith(0xec442f05 /* ERC20InvalidReceiver(address) */, 1, holder);
  storage_cache_bytes32(wordOf(TOTAL_SUPPLY), supply);
  credit(holder, supply);
  logTransfer(wordOf(0), holder, supply);
}

function transfer(to: usize, value: usize): void {
  move(sender(), to, value);
  resultWord(wordOf(1));
}

function transferFrom(from: usize, to: usize, value: usize): void {
  spendAllowance(from, sender(), value);
  move(from, to, value);
  resultWord(wordOf(1));
}

function approve(spender: usize, value: usize): void {
  const owner = sender();
  setAllowance(owner, spender, value);
  // Approval(address indexed owner, address indexed spender, uint256 value)
  const approval = constant(
    0x8c5be1e5ebec7d5b, 0xd14f71427d1e84f3, 0xdd0314c0f7b2291e, 0x5b200ac8c7c3b925,
  );
  logWord(approval, owner, spender, value);
  resultWord(wordOf(1));
}

export function user_entrypoint(length: i32): i32 {
  begin(length);
  notPayable();
  switch (selector()) {
    case 0x06fdde03: /* name(): "Wasm Token" */
      resultShort(constant(0x5761736d20546f6b, 0x656e000000000000, 0, 0), 10);
      break;
    case 0x95d89b41: /* symbol(): "WASM" */
      resultShort(constant(0x5741534d00000000, 0, 0, 0), 4);
      break;
    case 0x313ce567: /* decimals() */
      resultWord(wordOf(18));
      break;
    case 0x18160ddd: /* totalSupply() */
      resultWord(loadNumbered(TOTAL_SUPPLY));
      break;
    case 0x70a08231: /* balanceOf(address) */
      resultWord(loadSlot(balanceSlot(argumentAddress(0))));
      break;
    case 0xdd62ed3e: /* allowance(address,address) */
      resultWord(loadSlot(allowanceSlot(argumentAddress(0), argumentAddress(1))));
      break;
    case 0xa9059cbb: /* transfer(address,uint256) */
      transfer(argumentAddress(0), argument(1));
      break;
    case 0x23b872dd: /* transferFrom(address,address,uint256) */
      transferFrom(argumentAddress(0), argumentAddress(1), argument(2));
      break;
    case 0x095ea7b3: /* approve(address,uint256) */
      approve(argumentAddress(0), argument(1));
      break;
    case 0xcd6dc687: /* initialize(address,uint256) */
      initialize(argumentAddress(0), argument(1));
      break;
    default:
      revert(0, 0);
  }
  return finish();
}

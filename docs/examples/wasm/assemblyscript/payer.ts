// Pays with any ERC-20 token, whatever engine the token runs in: a contract in AssemblyScript that
// calls EVM contracts. The sender approves this contract first.
import {
  account_code_size, argument, argumentAddress, begin, callData, callOrRevert, constant,
  difference, finish, isZero, loadNumbered, logWord, notPayable, read_return_data, resultWord,
  revert, revertWith, selector, sender, staticCallOrRevert, storage_cache_bytes32, sum, take,
  wordOf,
} from "./ghost";

const PAYMENTS: u64 = 0;

// The token's answer to a call: true, or nothing at all, as some tokens have it.
function tokenAgreed(token: usize, returned: u32): bool {
  if (returned == 0) return account_code_size(token + 12) > 0;
  const answer = take(32);
  read_return_data(answer, 0, 32);
  return returned == 32 && isZero(difference(answer, wordOf(1)));
}

function pay(token: usize, to: usize, amount: usize): void {
  // transferFrom(address,address,uint256)
  const data = callData(0x23b872dd, 3, sender(), to, amount);
  if (!tokenAgreed(token, callOrRevert(token, data, 4 + 96))) {
    revertWith(0x34e4a710 /* NotPaid() */, 0);
  }
  storage_cache_bytes32(wordOf(PAYMENTS), sum(loadNumbered(PAYMENTS), wordOf(1)));
  // Paid(address indexed token, address indexed to, uint256 amount)
  const paid = constant(
    0x9def4e2802183d68, 0xce90a6a226a2962b, 0x59298616c27165f1, 0x2c4fbc5c84cdd778,
  );
  logWord(paid, token, to, amount);
}

/** What holder has of token. */
function holding(token: usize, holder: usize): void {
  const data = callData(0x70a08231 /* balanceOf(address) */, 1, holder);
  if (staticCallOrRevert(token, data, 4 + 32) != 32) revert(0, 0);
  const balance = take(32);
  read_return_data(balance, 0, 32);
  resultWord(balance);
}

export function user_entrypoint(length: i32): i32 {
  begin(length);
  notPayable();
  switch (selector()) {
    case 0xb3d76188: /* pay(address,address,uint256) */
      pay(argumentAddress(0), argumentAddress(1), argument(2));
      break;
    case 0x06280750: /* holding(address,address) */
      holding(argumentAddress(0), argumentAddress(1));
      break;
    case 0xa6d23e10: /* payments() */
      resultWord(loadNumbered(PAYMENTS));
      break;
    default:
      revert(0, 0);
  }
  return finish();
}

// A counter: what docs/examples/solidity/Counter.sol is, in AssemblyScript.
import {
  argument, begin, constant, finish, less, loadNumbered, logWord, notPayable, resultWord, revert,
  revertOverflow, selector, sender, storage_cache_bytes32, sum, wordOf,
} from "./ghost";

function set(number: usize): void {
  storage_cache_bytes32(wordOf(0), number);
  // Changed(address indexed by, uint256 number)
  const changed = constant(
    0xb52dda022b6c1a1f, 0x40905a85f257f689, 0xaa5d69d850e49cf9, 0x39d688fbe5af5946,
  );
  logWord(changed, sender(), 0, number);
}

function add(addend: usize): void {
  const number = loadNumbered(0);
  const added = sum(number, addend);
  if (less(added, number)) revertOverflow();
  set(added);
}

export function user_entrypoint(length: i32): i32 {
  begin(length);
  notPayable();
  switch (selector()) {
    case 0x8381f58a: /* number() */
      resultWord(loadNumbered(0));
      break;
    case 0x3fb5c1cb: /* setNumber(uint256) */
      set(argument(0));
      break;
    case 0xd09de08a: /* increment() */
      add(wordOf(1));
      break;
    case 0x1003e2d2: /* add(uint256) */
      add(argument(0));
      break;
    default:
      revert(0, 0);
  }
  return finish();
}

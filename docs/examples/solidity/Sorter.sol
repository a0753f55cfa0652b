// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// What docs/examples/wasm/c/sort.c does, step by step the same, in the EVM.
contract Sorter {
    function sort(uint64[] memory numbers) external pure returns (uint64[] memory) {
        heapsort(numbers);
        return numbers;
    }

    /// The sum of each of `count` pseudorandom numbers times its place when sorted, modulo 2^64.
    function sortRandom(uint32 count, uint32 seed) external pure returns (uint64 sum) {
        require(count <= 1 << 20);
        uint64[] memory numbers = new uint64[](count);
        unchecked {
            uint64 state = seed;
            for (uint256 i = 0; i < count; i++) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                numbers[i] = state;
            }
            heapsort(numbers);
            for (uint256 i = 0; i < count; i++) sum += numbers[i] * uint64(i);
        }
    }

    function heapsort(uint64[] memory numbers) private pure {
        unchecked {
            for (uint256 place = numbers.length / 2; place > 0; place--) {
                sink(numbers, place - 1, numbers.length);
            }
            for (uint256 left = numbers.length; left > 1; left--) {
                (numbers[0], numbers[left - 1]) = (numbers[left - 1], numbers[0]);
                sink(numbers, 0, left - 1);
            }
        }
    }

    /// Moves the value at `place` down to where no child is greater.
    function sink(uint64[] memory heap, uint256 place, uint256 count) private pure {
        unchecked {
            uint64 value = heap[place];
            for (uint256 child = 2 * place + 1; child < count; child = 2 * place + 1) {
                if (child + 1 < count && heap[child + 1] > heap[child]) child++;
                if (heap[child] <= value) break;
                heap[place] = heap[child];
                place = child;
            }
            heap[place] = value;
        }
    }
}

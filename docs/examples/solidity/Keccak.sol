// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Keccak-256 computed in the EVM rather than by its instruction, as docs/examples/wasm computes it:
/// to compare what computing costs. For 32-byte messages, which fit one permutation.
contract Keccak {
    /// The hash of 32 zero bytes, hashed again and again.
    function loop(uint32 rounds) external pure returns (bytes32 value) {
        uint64[24] memory constants = [
            0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
            0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
            0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
            0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
            0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
            0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008
        ];
        unchecked {
            for (uint256 i = 0; i < rounds; i++) value = hash(value, constants);
        }
    }

    /// The lanes of a word are little-endian.
    function turned(uint64 lane) private pure returns (uint64) {
        lane = ((lane & 0xff00ff00ff00ff00) >> 8) | ((lane & 0x00ff00ff00ff00ff) << 8);
        lane = ((lane & 0xffff0000ffff0000) >> 16) | ((lane & 0x0000ffff0000ffff) << 16);
        return (lane >> 32) | (lane << 32);
    }

    function rotated(uint64 lane, uint64 by) private pure returns (uint64) {
        return (lane << by) | (lane >> (64 - by));
    }

    function hash(bytes32 message, uint64[24] memory constants) private pure returns (bytes32) {
        uint64[25] memory state;
        for (uint256 i = 0; i < 4; i++) state[i] = turned(uint64(uint256(message) >> (192 - 64 * i)));
        state[4] = 1;
        state[16] = 0x8000000000000000;
        permute(state, constants);
        uint256 digest;
        for (uint256 i = 0; i < 4; i++) digest = (digest << 64) | turned(state[i]);
        return bytes32(digest);
    }

    function permute(uint64[25] memory state, uint64[24] memory constants) private pure {
        unchecked {
            uint64[5] memory parity;
            uint64[25] memory moved;
            for (uint256 round = 0; round < 24; round++) {
                for (uint256 x = 0; x < 5; x++) {
                    parity[x] =
                        state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20];
                }
                for (uint256 x = 0; x < 5; x++) {
                    uint64 column = parity[(x + 4) % 5] ^ rotated(parity[(x + 1) % 5], 1);
                    for (uint256 y = 0; y < 25; y += 5) state[y + x] ^= column;
                }
                moved[0] = state[0];
                uint256 lane = 1;
                uint64 by = 0;
                for (uint256 step = 1; step < 25; step++) {
                    by = (by + uint64(step)) % 64;
                    uint256 to = (lane / 5) + 5 * ((2 * (lane % 5) + 3 * (lane / 5)) % 5);
                    moved[to] = rotated(state[lane], by);
                    lane = to;
                }
                for (uint256 y = 0; y < 25; y += 5) {
                    for (uint256 x = 0; x < 5; x++) {
                        state[y + x] =
                            moved[y + x] ^ (~moved[y + ((x + 1) % 5)] & moved[y + ((x + 2) % 5)]);
                    }
                }
                state[0] ^= constants[round];
            }
        }
    }
}

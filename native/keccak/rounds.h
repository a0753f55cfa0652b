/* The 24 rounds of Keccak-f[1600] (FIPS 202, section 3), written once for every width of word.
 *
 * The including function defines WORD and the five operations XOR5, ROL, MIX, CHI and IOTA over
 * it, and has the state in a0 .. a24 (a[x + 5y]); KECCAK_ROUNDS leaves the permuted state there.
 * Rounds run in pairs, from a to e and back, so that no lane is ever moved. */
#ifndef GHOST_KECCAK_ROUNDS_H
#define GHOST_KECCAK_ROUNDS_H

#include <stdint.h>

static const uint64_t round_constants[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

#define KECCAK_ROW(E, e0, e1, e2, e3, e4)                                                          \
    E##e0 = CHI(b0, b1, b2);                                                                       \
    E##e1 = CHI(b1, b2, b3);                                                                       \
    E##e2 = CHI(b2, b3, b4);                                                                       \
    E##e3 = CHI(b3, b4, b0);                                                                       \
    E##e4 = CHI(b4, b0, b1)

/* theta, then for each row rho, pi and chi, then iota. MIX(lane, left, right) is theta's
 * lane ^ C[x-1] ^ ROL(C[x+1], 1). */
#define KECCAK_ROUND(A, E, round)                                                                  \
    do {                                                                                           \
        WORD c0 = XOR5(A##0, A##5, A##10, A##15, A##20);                                           \
        WORD c1 = XOR5(A##1, A##6, A##11, A##16, A##21);                                           \
        WORD c2 = XOR5(A##2, A##7, A##12, A##17, A##22);                                           \
        WORD c3 = XOR5(A##3, A##8, A##13, A##18, A##23);                                           \
        WORD c4 = XOR5(A##4, A##9, A##14, A##19, A##24);                                           \
        WORD r0 = ROL(c0, 1), r1 = ROL(c1, 1), r2 = ROL(c2, 1), r3 = ROL(c3, 1), r4 = ROL(c4, 1);  \
        WORD b0, b1, b2, b3, b4;                                                                   \
        b0 = MIX(A##0, c4, r1);                                                                    \
        b1 = ROL(MIX(A##6, c0, r2), 44);                                                           \
        b2 = ROL(MIX(A##12, c1, r3), 43);                                                          \
        b3 = ROL(MIX(A##18, c2, r4), 21);                                                          \
        b4 = ROL(MIX(A##24, c3, r0), 14);                                                          \
        KECCAK_ROW(E, 0, 1, 2, 3, 4);                                                              \
        E##0 = IOTA(E##0, round);                                                                  \
        b0 = ROL(MIX(A##3, c2, r4), 28);                                                           \
        b1 = ROL(MIX(A##9, c3, r0), 20);                                                           \
        b2 = ROL(MIX(A##10, c4, r1), 3);                                                           \
        b3 = ROL(MIX(A##16, c0, r2), 45);                                                          \
        b4 = ROL(MIX(A##22, c1, r3), 61);                                                          \
        KECCAK_ROW(E, 5, 6, 7, 8, 9);                                                              \
        b0 = ROL(MIX(A##1, c0, r2), 1);                                                            \
        b1 = ROL(MIX(A##7, c1, r3), 6);                                                            \
        b2 = ROL(MIX(A##13, c2, r4), 25);                                                          \
        b3 = ROL(MIX(A##19, c3, r0), 8);                                                           \
        b4 = ROL(MIX(A##20, c4, r1), 18);                                                          \
        KECCAK_ROW(E, 10, 11, 12, 13, 14);                                                         \
        b0 = ROL(MIX(A##4, c3, r0), 27);                                                           \
        b1 = ROL(MIX(A##5, c4, r1), 36);                                                           \
        b2 = ROL(MIX(A##11, c0, r2), 10);                                                          \
        b3 = ROL(MIX(A##17, c1, r3), 15);                                                          \
        b4 = ROL(MIX(A##23, c2, r4), 56);                                                          \
        KECCAK_ROW(E, 15, 16, 17, 18, 19);                                                         \
        b0 = ROL(MIX(A##2, c1, r3), 62);                                                           \
        b1 = ROL(MIX(A##8, c2, r4), 55);                                                           \
        b2 = ROL(MIX(A##14, c3, r0), 39);                                                          \
        b3 = ROL(MIX(A##15, c4, r1), 41);                                                          \
        b4 = ROL(MIX(A##21, c0, r2), 2);                                                           \
        KECCAK_ROW(E, 20, 21, 22, 23, 24);                                                         \
    } while (0)

#define KECCAK_ROUNDS()                                                                            \
    do {                                                                                           \
        WORD e0, e1, e2, e3, e4, e5, e6, e7, e8, e9, e10, e11, e12;                                \
        WORD e13, e14, e15, e16, e17, e18, e19, e20, e21, e22, e23, e24;                           \
        for (int round = 0; round < 24; round += 2) {                                              \
            KECCAK_ROUND(a, e, round);                                                             \
            KECCAK_ROUND(e, a, round + 1);                                                         \
        }                                                                                          \
    } while (0)

/* Names a0 .. a24 bound to EXPRESSION(i), and back. */
#define KECCAK_LOAD(EXPRESSION)                                                                    \
    WORD a0 = EXPRESSION(0), a1 = EXPRESSION(1), a2 = EXPRESSION(2), a3 = EXPRESSION(3),           \
         a4 = EXPRESSION(4), a5 = EXPRESSION(5), a6 = EXPRESSION(6), a7 = EXPRESSION(7),           \
         a8 = EXPRESSION(8), a9 = EXPRESSION(9), a10 = EXPRESSION(10), a11 = EXPRESSION(11),       \
         a12 = EXPRESSION(12), a13 = EXPRESSION(13), a14 = EXPRESSION(14), a15 = EXPRESSION(15),   \
         a16 = EXPRESSION(16), a17 = EXPRESSION(17), a18 = EXPRESSION(18), a19 = EXPRESSION(19),   \
         a20 = EXPRESSION(20), a21 = EXPRESSION(21), a22 = EXPRESSION(22), a23 = EXPRESSION(23),   \
         a24 = EXPRESSION(24)

#define KECCAK_STORE(STATEMENT)                                                                    \
    STATEMENT(0, a0); STATEMENT(1, a1); STATEMENT(2, a2); STATEMENT(3, a3); STATEMENT(4, a4);      \
    STATEMENT(5, a5); STATEMENT(6, a6); STATEMENT(7, a7); STATEMENT(8, a8); STATEMENT(9, a9);      \
    STATEMENT(10, a10); STATEMENT(11, a11); STATEMENT(12, a12); STATEMENT(13, a13);                \
    STATEMENT(14, a14); STATEMENT(15, a15); STATEMENT(16, a16); STATEMENT(17, a17);                \
    STATEMENT(18, a18); STATEMENT(19, a19); STATEMENT(20, a20); STATEMENT(21, a21);                \
    STATEMENT(22, a22); STATEMENT(23, a23); STATEMENT(24, a24)

#endif

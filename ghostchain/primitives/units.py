"""Amounts of the native coin, in wei (18 decimals)."""

WEI = 1
KWEI = 10**3
MWEI = 10**6
GWEI = 10**9
MICROETHER = 10**12
MILLIETHER = 10**15
ETHER = 10**18

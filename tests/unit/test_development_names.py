"""Every method of anvil and Hardhat that moves a chain by hand is known here under its name."""

from __future__ import annotations

from ghostchain.rpc.method import Door
from ghostchain.rpc.methods import METHODS

# Of anvil 1.7's request enum (foundry, crates/anvil/core/src/eth/mod.rs), aliases too.
ANVIL_TEXT = """
anvil_addBalance anvil_autoImpersonateAccount anvil_classifyTransaction anvil_dealERC20
anvil_dealTIP20 anvil_dropAllTransactions anvil_dropTransaction anvil_dumpState
anvil_getAutomine anvil_getBlobByHash anvil_getBlobsByTransactionHash anvil_getGenesisTime
anvil_getIntervalMining anvil_getLastBlockWallTime anvil_impersonateAccount
anvil_impersonateSignature anvil_increaseTime anvil_loadState anvil_metadata anvil_mine
anvil_mine_detailed anvil_nodeInfo anvil_removeBlockTimestampInterval
anvil_removePoolTransactions anvil_reorg anvil_reset anvil_revert anvil_rollback
anvil_setAutomine anvil_setBalance anvil_setBlockGasLimit anvil_setBlockTimestampInterval
anvil_setChainId anvil_setCode anvil_setCoinbase anvil_setERC20Allowance anvil_setERC20Balance
anvil_setFeeAmmLiquidity anvil_setFeeToken anvil_setIntervalMining anvil_setLoggingEnabled
anvil_setMinGasPrice anvil_setNextBlockBaseFeePerGas anvil_setNextBlockPrevRandao
anvil_setNextBlockTimestamp anvil_setNonce anvil_setRpcUrl anvil_setStorageAt anvil_setTime
anvil_setValidatorFeeToken anvil_snapshot anvil_stopImpersonatingAccount debug_clearTxpool
eth_sendUnsignedTransaction evm_increaseTime evm_mine evm_mine_detailed evm_revert
evm_setAccountNonce evm_setAutomine evm_setBlockGasLimit evm_setIntervalMining
evm_setNextBlockTimestamp evm_setTime evm_snapshot hardhat_addBalance
hardhat_autoImpersonateAccount hardhat_dealERC20 hardhat_dropAllTransactions
hardhat_dropTransaction hardhat_dumpState hardhat_getAutomine hardhat_impersonateAccount
hardhat_loadState hardhat_metadata hardhat_mine hardhat_reset hardhat_setBalance hardhat_setCode
hardhat_setCoinbase hardhat_setLoggingEnabled hardhat_setMinGasPrice
hardhat_setNextBlockBaseFeePerGas hardhat_setNonce hardhat_setStorageAt
hardhat_stopImpersonatingAccount tenderly_addBalance tenderly_setBalance
"""
ANVIL = ANVIL_TEXT.split()

# Of EDR's method invocations (edr_provider, requests/methods.rs).
HARDHAT_TEXT = """
evm_increaseTime evm_mine evm_revert evm_setAutomine evm_setBlockGasLimit evm_setIntervalMining
evm_setNextBlockTimestamp evm_snapshot hardhat_dropTransaction hardhat_getAutomine
hardhat_impersonateAccount hardhat_metadata hardhat_mine hardhat_setBalance hardhat_setCode
hardhat_setCoinbase hardhat_setLoggingEnabled hardhat_setMinGasPrice
hardhat_setNextBlockBaseFeePerGas hardhat_setNonce hardhat_setPrevRandao hardhat_setStorageAt
hardhat_stopImpersonatingAccount
"""
HARDHAT = HARDHAT_TEXT.split()

# Left out, and why.
LEFT_OUT = {
    "anvil_classifyTransaction": "Tempo's payment lanes",
    "anvil_dealTIP20": "Tempo's tokens",
    "anvil_setFeeAmmLiquidity": "Tempo's fee market",
    "anvil_setFeeToken": "Tempo's fee tokens; here a transaction names its own",
    "anvil_setValidatorFeeToken": "Tempo's fee tokens",
}


def test_every_name_of_anvil_and_hardhat_is_known() -> None:
    unknown = {*ANVIL, *HARDHAT} - set(METHODS) - set(LEFT_OUT)
    assert not unknown, sorted(unknown)
    assert not set(LEFT_OUT) & set(METHODS), "left out, and here"


def test_only_development_chains_answer_them() -> None:
    open_to_all = [
        name
        for name in {*ANVIL, *HARDHAT} & set(METHODS)
        if METHODS[name].door is not Door.DEVELOPMENT
    ]
    assert not open_to_all, sorted(open_to_all)

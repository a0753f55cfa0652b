"""The hand on a development chain: what `anvil_*`, `hardhat_*` and `evm_*` move.

    settings.py     what was set by hand, as values: of the chain (the clock, the next block), which
                    a revert takes back, and of the node (when to seal, who is impersonated), which
                    stay
    clock.py        from settings and the wall's clock to the next block's timestamp
    diary.py        settings and snapshots on disk, so that a kill loses nothing
    controller.py   implements `ghostchain.rpc.development.Development`
    pooling.py      what waits, kept with a snapshot and put back
    past.py         snapshots, reverts, rollbacks and other pasts
    dump.py         anvil's state dump, written; states.py: its older states
    loading.py      and read; transcripts.py: its blocks, transactions and receipts

Every change runs on the thread that writes the chain, one after another with sealing; readers see
immutable records. A snapshot is a height, the settings and what waited: coming back costs the
changes of the blocks that are taken back, never the length of the chain.
"""

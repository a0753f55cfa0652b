"""A whole network of validators on one thread, where time, wires and disks are made up.

The code under test is the code that runs: the core of consensus, its driver, certificates, the
write-ahead log, the high-water mark and the signer; the cores of the pool, of gossip, of completing
blocks out of parts and of sync. Only the doors of `consensus/ports.py` lead to something virtual.
One seed draws everything: how many validators, their powers, who lies and how, what the network
loses, when machines die and what their disks keep, what users pay. The same seed gives the same run
to the last byte, so a failure is a number:

    python -m tests.sim.run --seed 4711          # one run; --trace tells what happened
    python -m tests.sim.run --seeds 0:20000      # many, on both cores
    python -m tests.sim.run --kind twins         # only networks with two machines of one key
    python -m tests.sim.run --kind runt          # only locks of one with hardly any power
    python -m tests.sim.run --kind trade         # only networks with many transfers
    python -m tests.sim.run --kind spoilt        # only networks where a disk spoils a log
    python -m tests.sim.run --mutants            # how soon each planted fault is found

Each seed draws a mix of its own (swarm testing): many runs with few kinds of faults, each often,
find more than runs that have a little of all.

    mix.py        what a seed draws, and in which order
    scheduler.py  virtual time: one heap of what happens when
    network.py    loss, delay, duplication, reorder, partitions, slow links
    disk.py       what a file holds after a crash: torn, short, flipped
    keys.py       signatures: a keyed hash that costs a microsecond, or Ed25519
    ledger.py     what is decided: blocks of transfers, validator sets that change at H+2
    transfers.py  what waits and is paid: transfers among a few accounts
    market.py     users who give them to machines, and probes that must get into a block
    application.py  the door of consensus to the ledger: builds, gets, judges, commits
    traffic.py    the pool, gossip, and blocks in parts
    catching.py   sync
    node.py       one machine: the real driver over virtual doors; dies anywhere, starts again
    sins.py       nodes that lie, each in one way, out of the same real code
    checkers.py   what must hold, looked at after every step
    world.py      puts it together and runs it
    mutants.py    faults planted in the code under test, which the checkers must find
    figures.py    time and bytes that a block costs, by the number of validators

After a moment that the mix names, faults stop (the network's GST) and every honest node must decide
more heights within a bounded time.
"""

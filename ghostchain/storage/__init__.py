"""What is on disk, and how it stays true after a kill at any instruction.

A data directory holds:

    IDENTITY      layout version, genesis hash, chain id (JSON); written once, before all else
    LOCK          flock of the one process that may write, with its pid inside
    state/        LevelDB: everything that is looked up by key
    blocks/       append-only segment files: bodies and receipts, each record with a CRC

One block is made durable in this order: its records are appended to the segment files and synced
(those of a small block travel in the batch as well, and the sync waits); then one synchronous
LevelDB batch carries state, indexes and the head pointer, and names the end of the segment files.
The batch is the moment of commit: before it nothing has changed for a reader, after it everything
has. Blocks that are imported in a row share one sync and one batch. On opening, whatever the files
hold beyond the end that LevelDB names was never acknowledged by the batch; it is handed to the
chain, which imports whole blocks again and drops a torn tail.
Where validators decide it is all dropped: the log of consensus decides again.

Invariants:

- Nothing is written into a directory that is foreign, locked, of another layout or another
  genesis.
- A record that LevelDB names has been synced before, or stands in LevelDB too.
- After a failed write the store refuses all further ones; a restart recovers.

`directory.py` claims the directory, `database.py` is LevelDB, `files.py` the segment files,
`memory.py` keeps the process small beside them.

Beside the chain stand two files of consensus: `wal.py`, the log of what a validator was told before
it acted on it, and `highwater.py`, what it signed last, so that it never signs otherwise. Both
reach the disk through `disk.py`.
"""

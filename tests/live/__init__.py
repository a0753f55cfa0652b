"""Real processes, real sockets, real faults: SIGKILL, SIGSTOP, and partitions inside a network
namespace that the test makes for itself."""

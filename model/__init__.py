"""ItemSage and what surrounds it: tokeniser, encoders, losses, training, index. Knows no Beam."""

import os

# Threads that spin while they wait turn a busy machine into a stalled one: with one other process on 2 cores the folded
# encoder did 215 items/s spinning and 3,672 passive. Read when libgomp is loaded, so it stands before any torch import.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Torch asks the kernel for each large tensor anew, and for pages of 4 kB: the sums of a batch's texts and their
# gradients took 32,000 page faults, and twice the time that they take with pages of 2 MB. Read at the first allocation;
# only Linux has such pages, where /sys/kernel/mm/transparent_hugepage/enabled is madvise, as by default, or always.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

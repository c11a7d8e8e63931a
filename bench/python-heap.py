"""A heap as services have them: records of dicts, strings, floats and lists, the same in every run.

python-heap.py MIB fills memory up to MIB, prints "ready" and waits to be killed. zstd -1 compresses its core about 7:1.
"""

import gc
import pickle
import random
import sys
import time

SEED = 1
# 20,000 records are some 20 MB of heap: copies of the batch are farther apart than zstd -1's window (512 KiB), so to the
# compressor they are as good as new records, and unpickling them is ten times faster than making new ones.
BATCH_RECORDS = 20_000

rng = random.Random(SEED)
words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9))) for _ in range(2000)]


def record(number):
    return {
        "id": number,
        "user": f"user-{rng.randrange(10**6):06d}",
        "path": "/".join(rng.choices(words, k=4)),
        "score": rng.random(),
        "tags": rng.choices(words, k=3),
        "history": [rng.randrange(10**6) for _ in range(6)],
        "active": True,
    }


def resident_bytes():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


gc.disable()  # it would walk the whole heap again and again while it grows
batch = pickle.dumps([record(number) for number in range(BATCH_RECORDS)])
heap = []
while resident_bytes() < int(sys.argv[1]) << 20:
    heap.append(pickle.loads(batch))
print("ready", flush=True)
time.sleep(600)  # nobody is left waiting for longer, should the bench die

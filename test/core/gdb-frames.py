# For gdb -x: a line for each thread, its id and the program counters of its frames, up to $frames_max.
import gdb

frames_max = int(gdb.parse_and_eval('$frames_max'))

for thread in sorted(gdb.selected_inferior().threads(), key=lambda thread: thread.ptid[1]):
    thread.switch()
    pcs = []
    try:
        frame = gdb.newest_frame()
        while frame is not None and len(pcs) < frames_max:
            pcs.append(hex(frame.pc()))
            frame = frame.older()
    except gdb.error:
        pcs.append('error')
    print('thread', thread.ptid[1], *pcs)

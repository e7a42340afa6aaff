"""What stands in a file of trace.cpp's: its last passes, each with what the GPU did, what the link brought, and when one of them stood still.

    trace.py FILE.csv [PASSES]
"""
import collections
import subprocess
import sys

LARGE = 1 << 20  # bytes of copies that are weights
STILL = 0.2  # ms


def read(path):
    rows = []
    for line in open(path):
        fields = line.rstrip('\n').split(',', 4)
        if len(fields) == 5 and fields[1].isdigit():
            rows.append((int(fields[0]) / 1e6, int(fields[1]) / 1e6, fields[3], fields[4]))
    return sorted(rows)


def short(name):
    plain = subprocess.run(['c++filt', name], capture_output=True, text=True).stdout.strip() or name
    return plain.removeprefix('void ').split('(')[0][:70]


def still(rows):
    last = rows[0][1]
    for start, end, _, _ in rows:
        if start - last > STILL:
            yield last, start
        last = max(last, end)


rows = read(sys.argv[1])
ends = [end for start, end, size, name in rows if name == 'copy of kind 2' and int(size) > LARGE // 16]  # logits
for begin, end in list(zip(ends, ends[1:]))[-int(sys.argv[2]) if len(sys.argv) > 2 else -2:]:
    kernels = [row for row in rows if begin < row[0] < end and not row[3].startswith('copy')]
    copies = [row for row in rows if row[1] > begin and row[0] < end and row[3] == 'copy of kind 1' and int(row[2]) > LARGE]
    print(f'a pass of {end - begin:.3f} ms: {len(kernels)} kernels in {sum(row[1] - row[0] for row in kernels):.3f} ms; {sum(int(row[2]) for row in copies) / 1e6:.1f} MB in {sum(row[1] - row[0] for row in copies):.3f} ms')
    sums = collections.Counter()
    for row in kernels:
        sums[row[3]] += row[1] - row[0]
    for name, took in sums.most_common(8):
        print(f'    {took:8.3f} ms {sum(row[3] == name for row in kernels):5d} x {short(name)}')
    for what, of in (('the GPU', kernels), ('the link', copies)):
        print(f'    {what} stood still: ' + (', '.join(f'{a - begin:.2f}-{b - begin:.2f}' for a, b in still(of)) if of else 'always'))

"""Pinned host-to-device speed, alone; with an argument, for that many seconds, printing at the end what it reached."""
import sys, time, torch
bytes_each = 1 << 30
host = torch.empty(bytes_each, dtype=torch.uint8, pin_memory=True)
device = torch.empty(bytes_each, dtype=torch.uint8, device='cuda')
device.copy_(host, non_blocking=True); torch.cuda.synchronize()
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2
start, copies = time.time(), 0
while time.time() - start < seconds:
    device.copy_(host, non_blocking=True); torch.cuda.synchronize(); copies += 1
print(f'link: {copies * bytes_each / (time.time() - start) / 1e9:.1f} GB/s', flush=True)

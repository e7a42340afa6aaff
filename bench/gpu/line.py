"""One line of an `nbm bench --json` result: medians per prompt length."""
import json, statistics, sys
try:
    result = json.load(sys.stdin)
except ValueError:
    sys.exit(f'{sys.argv[1]}: no result')
if 'load_s' not in result:
    sys.exit(f'{sys.argv[1]}: {result}')
parts = [f"load {result['load_s']:.2f}"]
for length in sorted({r['prompt'] for r in result['rounds']}):
    rounds = [r for r in result['rounds'] if r['prompt'] == length]
    decode = statistics.median(r['decode_s_per_token'] for r in rounds)
    streamed = statistics.median(r['streamed_bytes_per_token'] for r in rounds)
    parts.append(f"prompt {length}: {statistics.median(r['prefill_s'] for r in rounds):.4f} s, {decode:.4f} s/token, {streamed / 1e9:.3f} GB a token, {streamed / decode / 1e9:.1f} GB/s")
streaming = result.get('streaming') or {}
print(f"{sys.argv[1]}\n    " + '; '.join(parts) + f"; carried {streaming.get('carried', 0)}", flush=True)

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
    first = [r['first_s'] for r in rounds if 'first_s' in r]
    streamed = statistics.median(r['streamed_bytes_per_token'] for r in rounds)
    parts.append(f"prompt {length}: {statistics.median(r['prefill_s'] for r in rounds):.4f} s, {decode:.4f} s/token" + (f" (the first {statistics.median(first):.4f})" if first else '') + (f", {streamed / 1e9:.3f} GB a token, {streamed / decode / 1e9:.1f} GB/s" if streamed else ''))
predicted = result.get('plan', {}).get('predicted')
if predicted:
    same = [r for r in result['rounds'] if r['prompt'] == predicted['prompt_tokens']]
    off = lambda name, measured, rounds: f"{predicted[name]:.4f}" + (f" ({(predicted[name] / statistics.median(r[measured] for r in rounds) - 1) * 100:+.0f} %)" if rounds else '')
    parts.append(f"predicted: prompt of {predicted['prompt_tokens']} {off('prefill_seconds', 'prefill_s', same)}, token {off('decode_seconds', 'decode_s_per_token', result['rounds'])}, {'measured' if predicted['measured'] else 'assumed'} speeds")
    parts.append('planned bytes ' + ', '.join(f"{d['name']}: {d['total']}" for d in result['plan']['devices']))
streaming = result.get('streaming') or {}
if streaming.get('carried'):
    parts.append(f"carried {streaming['carried']}")
if streaming.get('speed'):
    parts.append(f"groups came at {streaming['speed'] / 1e9:.1f} GB/s (at best {streaming['peak_speed'] / 1e9:.1f}) in {streaming['load_time']}, computing waited {streaming['wait_time']}: {streaming['bottleneck']}")
if result.get('gpu_peak_bytes'):
    parts.append(f"GPU memory {result['gpu_peak_bytes'] / 2**30:.1f} GiB")
print(f"{sys.argv[1]}\n    " + '; '.join(parts), flush=True)

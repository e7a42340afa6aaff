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
predicted = result.get('plan', {}).get('predicted')
if predicted:
    rounds = [r for r in result['rounds'] if r['prompt'] == predicted['prompt_tokens']] or result['rounds']
    off = lambda name, measured: f"{predicted[name]:.4f} ({(predicted[name] / statistics.median(r[measured] for r in rounds) - 1) * 100:+.0f} %)"
    parts.append(f"predicted: prompt {off('prefill_seconds', 'prefill_s')}, token {off('decode_seconds', 'decode_s_per_token')}, {'measured' if predicted['measured'] else 'assumed'} speeds")
    parts.append('planned bytes ' + ', '.join(f"{d['name']}: {d['total']}" for d in result['plan']['devices']))
streaming = result.get('streaming') or {}
print(f"{sys.argv[1]}\n    " + '; '.join(parts) + f"; carried {streaming.get('carried', 0)}", flush=True)

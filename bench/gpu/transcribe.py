"""The contest of bench/results/h200-rivals.txt as CSV, line by line: what nbm-bench plot and compare read. Only Llama-2-7B's shape in F16, the prompt of 512 tokens.

    bench/gpu/transcribe.py < bench/results/h200-rivals.txt > bench/results/h200-7b.csv
"""
import re
import sys

WEIGHTS = 13476831232  # of the GGUF file: 32 layers of 4096 x 11008, 32000 tokens, F16
COLUMNS = 'model,type,weight_bytes,budget_bytes,contender,round,load_s,prompt_tokens,prompt_s,token_s,convert_s,gpu_peak_bytes,host_peak_bytes,bound_token_s,bound_prompt_s,predicted_token_s,predicted_prompt_s,failure'
NAMES = {'eager': 'torch eager', 'eager-pinned': 'torch pinned', 'airllm': "AirLLM's method"}
# Of that machine, measured beside this contest: the link here, the CPU while the link runs, and the link meanwhile, in bench/notes.md.
LINK, CPU_BESIDE, LINK_BESIDE = 55.5e9, 48e9, 55.2e9
# The model all on the GPU, in the same file: no budget makes a token faster, nor a prompt of a quarter of its 2048 tokens.
RESIDENT_TOKEN, RESIDENT_PROMPT = 0.0066, 0.0972 / 4
READ = WEIGHTS - 32000 * 4096 * 2


def contender(label):
    if label.startswith('7b nbm from disk') or not label.startswith('7b ') and not label.startswith('7b:'):
        return None
    gib = re.match(r'7b (?:nbm )?(\d+) GiB', label)
    if 'nbm' in label:
        return gib and (int(gib[1]), 'nbm hybrid' if 'hybrid' in label else 'nbm streamed')
    if 'stock llama.cpp' in label and gib:
        return int(gib[1]), 'llama.cpp ngl'
    if 'accelerate' in label:
        return int(gib[1]), 'accelerate'
    method = re.match(r'7b: (\S+) 7b-hf', label)
    return method and (0, NAMES[method[1]])


def bound(gib):
    beyond = READ - (gib << 30)
    return max(beyond / (CPU_BESIDE + LINK_BESIDE), RESIDENT_TOKEN), max(beyond / LINK, RESIDENT_PROMPT)


print('# transcribed by bench/gpu/transcribe.py from bench/results/h200-rivals.txt, where every line and its command stand')
print('# machine: one NVIDIA H200 (143771 MiB), 16 cores, driver 580.159.04')
print('# build: commit 89ac1df, llama.cpp 0.5.0; torch 2.11.0+cu130, transformers 5.17.0, accelerate 1.15.0')
print(f'# one round. Bounds from that machine\'s figures: link {LINK / 1e9} GB/s; at once with it, CPU {CPU_BESIDE / 1e9:.0f} GB/s and link {LINK_BESIDE / 1e9} GB/s; all on the GPU, {RESIDENT_TOKEN} s a token')
print(COLUMNS)
lines = sys.stdin.read().splitlines()
for label, figures in zip(lines, lines[1:]):
    who, found = contender(label), re.match(r'    load ([\d.]+); prompt (512): ([\d.]+) s, ([\d.]+) s/token(?:.*GPU memory ([\d.]+) GiB)?', figures)
    if not who or not found:
        continue
    gib, name = who
    load, prompt, prompt_s, token_s, peak = found.groups()
    bounds = [f'{seconds:.5g}' for seconds in bound(gib)] if gib else ['', '']
    print(f'7b-f16,F16,{WEIGHTS},{gib << 30},{name},1,{load},{prompt},{prompt_s},{token_s},,{int(float(peak) * 2**30) if peak else ""},,{",".join(bounds)},')

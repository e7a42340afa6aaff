#!/usr/bin/env bash
# Figures from a GPU. Wants artifacts/gpu/gpu.tar.xz (bench/gpu/pack.sh); builds the plug-in with the machine's own nvcc.
#   bench/gpu/run.sh SET...      the sets are the functions below; each line printed is one measurement
set -uo pipefail
cd "$(dirname "$0")/../.."
export LD_LIBRARY_PATH=/usr/local/cuda/targets/x86_64-linux/lib
work=${NBM_WORK:-/dev/shm/nbm}
mkdir -p "$work"

if [ ! -e "$work/engine/libnbm.so" ]; then
  tar -C "$work" -xf artifacts/gpu/gpu.tar.xz
  cmake -S native -B "$work/build" -DNBM_GGML_SOURCE="$work" -DNBM_ENGINE="$work/engine" -DCMAKE_CUDA_ARCHITECTURES=90 >"$work/build.log" 2>&1 &&
    cmake --build "$work/build" --target nbm --parallel >>"$work/build.log" 2>&1 && cp "$work/build/libnbm.so" "$work/engine/" || { tail -30 "$work/build.log"; exit 1; }
fi
export NBM_ENGINE_PATH=$work/engine XDG_CACHE_HOME=$work/cache
nbm=$work/nbm/nbm

model() { # FILE NAME: a shape that nbm-bench knows
  [ -e "$work/$1.gguf" ] || "$work/nbm/nbm-bench" model "$2" "$work/$1.gguf"
}
model_7b() { model 7b 7b-f16; }
model_moe() { model moe mixtral-q4_0; }
model_70b() { model 70b 70b-q4_0; }

bench() { # FILE LABEL OPTIONS...
  local file=$1 label=$2; shift 2
  timeout 200 "$nbm" bench "$file" --json "$@" 2>"$work/err" | python3 bench/gpu/line.py "$label $*" || head -c 400 "$work/err"
}

link() { python3 bench/gpu/link.py; }

hybrid_70b() {
  model_70b
  local file=$work/70b.gguf
  for share in 0.40 0.48 0.56; do bench "$file" 70b --max-memory 0=3GiB,cpu=60GiB --offload hybrid --cpu-share $share --context 1024 --rounds 2; done
  bench "$file" 70b --max-memory 0=3GiB,cpu=60GiB --offload hybrid --cpu-share 0.48 --context 1024 --rounds 1 --threads 12
  bench "$file" 70b --max-memory 0=3GiB,cpu=60GiB --offload hybrid --cpu-share 0.48 --context 1024 --rounds 1 --ring 4
  bench "$file" 70b --max-memory 0=3GiB,cpu=60GiB --offload hybrid --cpu-share 1 --context 1024 --rounds 1
}

hybrid_7b() {
  model_7b
  local file=$work/7b.gguf
  for share in 0.45 0.55 0.65; do bench "$file" 7b --max-memory 0=2GiB,cpu=30GiB --offload hybrid --cpu-share $share --context 1024 --rounds 2; done
}

stream() {
  model_7b
  model_70b
  bench "$work/7b.gguf" 7b --max-memory 0=6GiB,cpu=30GiB --offload stream --context 4096 --prompt 512,2048 --rounds 2 --ring 3
  bench "$work/70b.gguf" 70b --max-memory 0=6GiB,cpu=60GiB --offload stream --context 4096 --prompt 512,2048 --rounds 1
}

moe() {
  model_moe
  local file=$work/moe.gguf
  bench "$file" moe --max-memory 0=40GiB,cpu=60GiB --context 1024 --rounds 1
  bench "$file" moe --max-memory 0=6GiB,cpu=60GiB --offload stream --context 1024 --rounds 1
  for share in 0.8 1; do bench "$file" moe --max-memory 0=6GiB,cpu=60GiB --offload hybrid --cpu-share $share --context 1024 --rounds 1; done
  bench "$file" moe --max-memory 0=6GiB,cpu=60GiB --offload cpu --context 1024 --rounds 1
  rm "$file"
}

# What the link and the CPU reach at the same time: stock CPU decoding while pinned copies run.
together() {
  model_70b
  python3 bench/gpu/link.py 45 &
  sleep 4
  bench "$work/70b.gguf" "70b beside pinned copies" --max-memory cpu=60GiB --context 1024 --prompt 8 --tokens 8 --rounds 2 --threads 15
  wait
  bench "$work/70b.gguf" 70b --max-memory cpu=60GiB --context 1024 --prompt 8 --tokens 8 --rounds 1
}

resident() {
  model_7b
  model_70b
  bench "$work/7b.gguf" 7b --max-memory 0=60GiB --context 4096 --prompt 512,2048 --rounds 2
  bench "$work/70b.gguf" 70b --max-memory 0=60GiB --context 4096 --prompt 512,2048 --rounds 1
}

same_bits() { # FILE NAME TOKENS PLACEMENTS...: each against all on the GPU
  local file=$1 name=$2 tokens=$3 ids placement; ids=$(seq -s, 1 "$tokens"); shift 3
  "$nbm" logits "$file" --ids "$ids" --out "$work/a" --max-memory 0=60GiB >/dev/null
  for placement in "$@"; do
    "$nbm" logits "$file" --ids "$ids" --out "$work/b" $placement >/dev/null
    cmp "$work/a" "$work/b" && echo "$name, $tokens tokens, $placement: the resident logits, bit for bit"
  done
}
bits() {
  model_7b
  model 7b-a1b 7b-a1b-q4_0
  local tokens few="--shared-batch 2"
  for tokens in 64 3; do
    same_bits "$work/7b.gguf" 7b $tokens "--max-memory 0=6GiB,cpu=60GiB --offload stream" "--max-memory 0=12GiB,cpu=60GiB --offload stream $few" "--max-memory 0=6GiB,cpu=60GiB --offload hybrid $few"
    same_bits "$work/7b-a1b.gguf" 7b-a1b $tokens "--offload stream" "--max-memory 0=1GiB,cpu=60GiB --offload stream $few" "--max-memory 0=1GiB,cpu=60GiB --offload hybrid --linked-experts 0 $few" "--max-memory 0=2GiB,cpu=60GiB --offload hybrid --linked-experts 0 --ring 3 $few"
  done
}

# Predictions against what is measured, at several budgets; the most that the driver saw in use, its own 0.5 GiB or so included.
speeds() { timeout 100 "$nbm" doctor --calibrate --offload-folder /tmp 2>&1; "$nbm" doctor --json | tee "${OUT:-$work}/doctor.json" >/dev/null; }

watched() { # bench, and the GPU's memory meanwhile
  nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 100 >"$work/used" & local watcher=$!
  bench "$@"
  kill $watcher; echo "    $(sort -n "$work/used" | tail -1) MiB in use at most"
}

predicted() { # FILE NAME BUDGETS...: each is limits, then how
  local file=$1 name=$2 budget; shift 2
  for budget in "$@"; do watched "$file" "$name" --context 1024 --rounds 1 $budget; done
}

plans_7b() { model_7b; predicted "$work/7b.gguf" 7b "--max-memory 0=20GiB,cpu=30GiB" "--max-memory 0=8GiB,cpu=30GiB --offload stream" "--max-memory 0=2GiB,cpu=30GiB --offload stream" "--max-memory 0=8GiB,cpu=30GiB --offload hybrid" "--max-memory 0=3GiB,cpu=30GiB --offload hybrid" "--max-memory 0=8GiB,cpu=30GiB" "--max-memory 0=8GiB,cpu=30GiB --optimize decode" "--max-memory 0=3GiB,cpu=30GiB --optimize decode" "--max-memory cpu=30GiB"; }

plans_70b() { model_70b; predicted "$work/70b.gguf" 70b "--max-memory 0=60GiB,cpu=60GiB" "--max-memory 0=24GiB,cpu=60GiB --offload stream" "--max-memory 0=6GiB,cpu=60GiB --offload stream" "--max-memory 0=24GiB,cpu=60GiB --offload hybrid" "--max-memory 0=3GiB,cpu=60GiB --offload hybrid" "--max-memory 0=24GiB,cpu=60GiB" "--max-memory 0=24GiB,cpu=60GiB --optimize decode" "--max-memory 0=3GiB,cpu=60GiB --optimize decode"; }

plans_moe() { model_moe; predicted "$work/moe.gguf" moe "--max-memory 0=40GiB,cpu=60GiB" "--max-memory 0=16GiB,cpu=60GiB --offload stream" "--max-memory 0=6GiB,cpu=60GiB --offload stream" "--max-memory 0=16GiB,cpu=60GiB --offload hybrid" "--max-memory 0=6GiB,cpu=60GiB --offload hybrid" "--max-memory 0=6GiB,cpu=60GiB" "--max-memory 0=16GiB,cpu=60GiB --optimize decode" "--max-memory 0=6GiB,cpu=60GiB --optimize decode"; }

sanitizer() {
  for tool in memcheck racecheck; do
    compute-sanitizer --tool $tool "$nbm" run samples/capitals-llama --prompt "The capital of France is" --max-new-tokens 6 --temperature 0 --max-memory 0=10MiB,cpu=1GiB --offload hybrid --context 256 2>&1 | tail -3
  done
}

# A token's experts that the GPU reads in host memory: how fast, the same bits where it computes all of them, and what a checker of its memory says.
linked() {
  model_moe
  model 7b-a1b 7b-a1b-q4_0
  local k
  for k in 0 1 2; do bench "$work/moe.gguf" moe --max-memory 0=6GiB,cpu=60GiB --offload hybrid --linked-experts $k --context 1024 --rounds 1; done
  "$nbm" logits "$work/moe.gguf" --ids 5 --out "$work/a" --max-memory 0=60GiB
  "$nbm" logits "$work/moe.gguf" --ids 5 --out "$work/b" --max-memory 0=6GiB,cpu=60GiB --offload hybrid --linked-experts 2
  cmp "$work/a" "$work/b" && echo "moe: logits by linked experts are the resident ones, bit for bit"
  timeout 100 compute-sanitizer --tool memcheck "$nbm" logits "$work/7b-a1b.gguf" --ids 5 --out "$work/b" --max-memory 0=1GiB,cpu=60GiB --offload hybrid --linked-experts 3 2>&1 | tail -2
}

# Batches of few tokens, where the CPU computes what it has for a token and where that streams instead: which is faster, and what a plan chooses after `speeds`.
small_batches() {
  model_moe
  model 30b 30b-a3b-q4_0
  local from
  for from in 512 2; do
    bench "$work/moe.gguf" moe --max-memory 0=6GiB,cpu=60GiB --offload hybrid --shared-batch $from --prompt 2,4,8,12,16,24,32,48 --tokens 2 --context 256 --rounds 2
    bench "$work/30b.gguf" 30b --max-memory 0=4GiB,cpu=40GiB --offload hybrid --shared-batch $from --prompt 8,16,24,32,48,64 --tokens 2 --context 256 --rounds 2
  done
  "$nbm" plan "$work/moe.gguf" --max-memory 0=6GiB,cpu=60GiB --offload hybrid | grep -o "prompts of .*"
  "$nbm" plan "$work/30b.gguf" --max-memory 0=4GiB,cpu=40GiB --offload hybrid | grep -o "prompts of .*"
}

# What a network more on the CPU costs a token beyond the time in which it is read there, and what a GPU's recorded graphs are worth: run `speeds` before.
divided() {
  model_7b
  local mib
  bench "$work/7b.gguf" "7b, resident" --max-memory 0=60GiB --context 1024 --prompt 64 --tokens 65 --rounds 2
  GGML_CUDA_DISABLE_GRAPHS=1 bench "$work/7b.gguf" "7b, resident, no CUDA graphs" --max-memory 0=60GiB --context 1024 --prompt 64 --tokens 65 --rounds 2
  for mib in 13056 12800 12288 11776; do bench "$work/7b.gguf" 7b --max-memory 0=${mib}MiB,cpu=30GiB --offload hybrid --cpu-share 1 --context 1024 --prompt 64 --tokens 65 --rounds 2; done
  GGML_CUDA_DISABLE_GRAPHS=1 bench "$work/7b.gguf" "7b, no CUDA graphs" --max-memory 0=12800MiB,cpu=30GiB --offload hybrid --cpu-share 1 --context 1024 --prompt 64 --tokens 65 --rounds 2
}

# Six budgets of each, and what was predicted: run `speeds` before.
six() { # FILE NAME CPU BUDGETS...
  local file=$1 name=$2 cpu=$3 gib; shift 3
  for gib in "$@"; do bench "$file" "$name" --max-memory "0=${gib}GiB,cpu=$cpu" --optimize decode --context 1024 --rounds 1; done
}
six_7b() { model_7b; six "$work/7b.gguf" 7b 30GiB 2 4 6 8 10 12; }
six_70b() { model_70b; six "$work/70b.gguf" 70b 60GiB 4 8 12 16 24 32; }
six_30b() { model 30b 30b-a3b-q4_0; six "$work/30b.gguf" 30b 40GiB 4 6 8 10 12 14; }
six_moe() { model_moe; six "$work/moe.gguf" moe 60GiB 4 6 8 12 16 20; }

stock() { # FILE LABEL OPTIONS...
  local file=$1 label=$2; shift 2
  timeout 170 "$work/nbm/nbm-bench" stock "$file" "$@" 2>"$work/err" | python3 bench/gpu/line.py "$label: stock llama.cpp $*" || tail -c 400 "$work/err"
}

# This library against all others: what is compared and how, bench/README.md says.
# A few of each kind, to see what a calibration is worth: run `speeds` before.
plans_few() {
  model_7b
  model 7b-q4 7b-q4_0
  predicted "$work/7b.gguf" 7b "--max-memory 0=20GiB,cpu=30GiB" "--max-memory 0=8GiB,cpu=30GiB --offload stream" "--max-memory 0=8GiB,cpu=30GiB --offload hybrid" "--max-memory 0=3GiB,cpu=30GiB --offload hybrid" "--max-memory 0=8GiB,cpu=30GiB"
  predicted "$work/7b-q4.gguf" "7b q4_0" "--max-memory 0=20GiB,cpu=30GiB" "--max-memory 0=2GiB,cpu=30GiB --offload hybrid" "--max-memory cpu=30GiB"
}

# All on the GPU, in turn: what this library adds to llama.cpp's time.
resident_beside_stock() {
  model_7b
  for round in 1 2 3; do
    bench "$work/7b.gguf" 7b --max-memory 0=60GiB --context 1024 --tokens 65 --rounds 2
    stock "$work/7b.gguf" 7b --ngl 99 --tokens 65 --rounds 2
  done
}

# bench/TorchSharp's program where contests look for it, with the libtorch of the machine's torch.
torchsharp() {
  local libraries program=bench/TorchSharp/bin/Release/net10.0/torchsharp-layers
  libraries=$(python3 -c 'import os, torch; print(os.path.join(os.path.dirname(torch.__file__), "lib"))') || return 0
  mkdir -p "$(dirname $program)"
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s:$LD_LIBRARY_PATH exec %s/torchsharp/torchsharp-layers "$@"\n' "$libraries" "$work" >$program
  chmod +x $program
}

contest() { # MODEL BUDGETS OPTIONS...
  "$work/nbm/nbm-bench" contest --models "$1" --budgets "$2" --rounds "${NBM_ROUNDS:-2}" --work "$work/contest" --csv "${OUT:-$work}/contest-$1.csv" "${@:3}"
}
contest_7b() { torchsharp; contest 7b-f16 4,8,12; }
contest_8b() { contest 8b-q4_k_m 2,4; }
contest_70b() { contest 70b-q4_0 8,16,24; }
contest_moe() { contest mixtral-q4_0 6,12; }
contest_30b() { contest 30b-a3b-q4_0 4,8; }

# Where the time of long streamed prompts goes.
prefill() {
  model_7b
  local file=$work/7b.gguf
  for ring in 1.25 1.5 2 3; do bench "$file" 7b --max-memory 0=6GiB,cpu=30GiB --offload stream --context 4096 --prompt 2048 --tokens 2 --rounds 6 --ring $ring; done
  bench "$file" 7b --max-memory 0=60GiB --context 4096 --prompt 2048 --tokens 2 --rounds 6
}

# What a pass through streamed layers yields when it carries several conversations (45 s with the model made), or several guessed tokens of one (75 s). The model counts, so that
# guesses come true: all that lookup and the first draft make, and six of seven that the second makes.
model_counting() { model 7b-counting 7b-f16-counting; }
conversations() {
  model_counting
  timeout 200 "$nbm" bench "$work/7b-counting.gguf" --offload stream --context 256 --prompt 32 --tokens 13 --sessions 1,2,4,8,16 --rounds 1
}
speculate() { # OPTIONS...
  model_counting
  model 1b-counting 1b-f16-counting
  model 1b-counting-errs 1b-f16-counting-errs
  timeout 250 "$work/nbm/nbm-bench" speculate "$work/7b-counting.gguf" --drafts "$work/1b-counting.gguf,$work/1b-counting-errs.gguf" "$@"
}
speculation() { speculate --tokens 65 --draft-tokens 4,8,15; }
speculation_6g() { speculate --tokens 33 --draft-tokens 8 --max-memory 0=6GiB,cpu=30GiB; } # the draft within the limit; 30 s

# Bytes that random plans hold against those planned, by device and kind, and what the driver gave; 60 s with the models made.
bytes() {
  model 1b-f16 1b-f16
  model 8b-q4 8b-q4_k_m
  model 7b-a1b 7b-a1b-q4_0
  timeout 200 "$work/nbm/nbm-bench" bytes "$work/1b-f16.gguf" "$work/8b-q4.gguf" "$work/7b-a1b.gguf" --count "${NBM_COUNT:-15}" --csv "${OUT:-$work}/bytes.csv"
}

# Everything streamed over one link, then over those of all GPUs.
gpus() {
  model_7b
  local how="--offload stream --context 4096 --tokens 17 --rounds 1" file=$work/7b.gguf round
  for round in $(seq "${NBM_ROUNDS:-2}"); do
    CUDA_VISIBLE_DEVICES=0 bench "$file" "7b, one GPU" $how --prompt 512,2048
    bench "$file" "7b, all GPUs" $how --prompt 512,2048
  done
  CUDA_VISIBLE_DEVICES=0 bench "$file" "7b, one GPU" --max-memory 0=4GiB,cpu=30GiB --offload hybrid --context 1024 --rounds 1
  bench "$file" "7b, two GPUs" --max-memory 0=2GiB,1=2GiB,cpu=30GiB --offload hybrid --context 1024 --rounds 1
  local ids; ids=$(seq -s, 1 64)
  CUDA_VISIBLE_DEVICES=0 "$nbm" logits "$file" --ids "$ids" --out "$work/a" --max-memory 0=60GiB
  "$nbm" logits "$file" --ids "$ids" --out "$work/b" --offload stream
  "$nbm" logits "$file" --ids "$ids" --out "$work/c" --max-memory 0=4GiB,1=3GiB,cpu=30GiB --offload stream
  cmp "$work/a" "$work/b" && cmp "$work/a" "$work/c" && echo "7b: logits streamed to all GPUs are the resident ones, bit for bit"
}
gpus_70b() {
  model_70b
  local how="--offload stream --context 4096 --tokens 9 --rounds 1 --prompt 512" file=$work/70b.gguf
  CUDA_VISIBLE_DEVICES=0 bench "$file" "70b, one GPU" $how
  bench "$file" "70b, all GPUs" $how
}

# Where a pass's time goes, by the GPU's own clock: trace.cpp loaded into `nbm bench`, with the last three passes printed. 5 s each with the model made.
tracer() {
  local cuda=/usr/local/cuda/targets/x86_64-linux records; records=$cuda/include/cupti_activity.h
  newest() { grep -oh "CUpti_Activity$1[0-9]*\b" "$records" | sort -uV | tail -1; }
  [ -e "$work/trace.so" ] || g++ -O2 -shared -fPIC -I$cuda/include -DNBM_KERNEL="$(newest Kernel)" -DNBM_COPY="$(newest Memcpy)" -o "$work/trace.so" bench/gpu/trace.cpp -L$cuda/lib -lcupti
}
traced() { # FILE NAME OPTIONS...
  local file=$1 name=$2; shift 2
  tracer
  CUDA_INJECTION64_PATH=$work/trace.so NBM_TRACE=$work/trace.csv timeout 100 "$nbm" bench "$file" --json --context 1024 --prompt 512 --tokens 3 --rounds 2 "$@" >/dev/null 2>"$work/err" || tail -c 400 "$work/err"
  echo "$name $*"; tail -30000 "$work/trace.csv" >"$work/trace-end.csv"; python3 bench/gpu/trace.py "$work/trace-end.csv" 3
}
traces() {
  model_7b
  local gib
  for gib in 60 12 8; do traced "$work/7b.gguf" 7b --max-memory 0=${gib}GiB,cpu=30GiB --optimize decode; done
}

# No GPU at all.
cpu_only() {
  model 7b-q4 7b-q4_0
  local file=$work/7b-q4.gguf
  for round in $(seq "${NBM_ROUNDS:-2}"); do
    CUDA_VISIBLE_DEVICES= bench "$file" "7b q4_0 nbm, CPU alone" --max-memory cpu=30GiB --context 1024 --prompt 128
    CUDA_VISIBLE_DEVICES= stock "$file" "7b q4_0, CPU alone" --ngl 0 --prompt 128
  done
  rm "$file"
}

for set in "$@"; do "$set"; done

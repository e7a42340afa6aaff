#!/usr/bin/env bash
# Makes artifacts/gpu: everything that bench/gpu/run.sh needs on a machine with an NVIDIA GPU, the CUDA toolkit, CMake and Python with torch, and no .NET.
#   bench/gpu/pack.sh [LIBGGML_CUDA.xz]      a ggml-cuda built for the GPU at hand, in place of the packaged one
set -euo pipefail
cd "$(dirname "$0")/../.."
out=artifacts/gpu
rm -rf "$out" && mkdir -p "$out/engine"
# A trimmed publish would list the assemblies of the one before it.
rm -rf src/NativeBigModel.Cli/obj/Release bench/NativeBigModel.Bench/obj/Release bench/TorchSharp/obj/Release
# Of the framework only what the programs use: with a GPU's library all of it is carried in one piece.
publish() { dotnet publish "$1" "${@:3}" -c Release -r linux-x64 --self-contained -p:InvariantGlobalization=true -p:NbmEngine=none -p:PublishReadyToRun=true -p:PublishTrimmed=true -p:TrimMode=partial -p:SuppressTrimAnalysisWarnings=true -p:JsonSerializerIsReflectionEnabledByDefault=true -o "$out/$2" >"$out.log" || { cat "$out.log"; return 1; }; }
publish src/NativeBigModel.Cli nbm
publish bench/NativeBigModel.Bench nbm # refers to nbm, and so brings what both use
rm -rf "$out/nbm/samples" # the repository has it
publish bench/TorchSharp torchsharp -p:NbmTorchSharp=true -p:NbmLibTorch=none # with the libtorch of the other machine's torch
dotnet run --project build -- engine --kind cuda --rid linux-x64 >/dev/null
cp artifacts/engine/linux-x64/cuda-*/*.so "$out/engine/" 2>/dev/null || true
cp -rL artifacts/engine/any/unpacked-*/ggml "$out/ggml"
if [ $# -gt 0 ]; then
  xz -dc "$1" > "$out/engine/libggml-cuda.so"
fi
rm -f "$out"/engine/libggml-cpu-{x64,sse42,sandybridge,ivybridge,piledriver,cannonlake,cascadelake,cooperlake,alderlake}.so # what no server needs
rm -f "$out"/{nbm,torchsharp}/{createdump,libmscordaccore.so,libmscordbi.so,libclrgc.so,libclrgcexp.so,libcoreclrtraceptprovider.so} # for debuggers, and collectors that nobody asked for
tar -C "$out" -cf - nbm torchsharp engine ggml | xz -9 > "$out.tar.xz" # sees that both programs have the same runtime
rm -rf "$out" && mkdir "$out" && mv "$out.tar.xz" "$out/gpu.tar.xz"
ls -l "$out"

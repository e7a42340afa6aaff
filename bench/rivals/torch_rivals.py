"""What people run in Python when a model is larger than the GPU, timed like `nbm bench --json`: a prompt, then greedy tokens with a KV cache.

    torch_rivals.py run METHOD FOLDER [--gpu GIB] [--cpu GIB] [--prompt 512] [--tokens N] [--rounds N]

Methods:
    accelerate     device_map="auto" with max_memory of --gpu and --cpu; what is over goes to disk
    eager          layer by layer as a torch program does it by hand, and as one in TorchSharp would: to(device), compute, back; from ordinary memory
    eager-pinned   the same from pinned memory
    airllm         AirLLM's method (3.2): every module read from safetensors for every token, one worker reading and pinning one module ahead,
                   the copy itself synchronous, caches emptied after each module
"""
import argparse
import concurrent.futures
import ctypes
import gc
import json
import os
import sys
import time

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM


def modules_of(model):
    return [('model.embed_tokens', model.model.embed_tokens), *((f'model.layers.{i}', layer) for i, layer in enumerate(model.model.layers)),
            ('model.norm', model.model.norm), ('lm_head', model.lm_head)]


def empty_model(folder):
    with torch.device('meta'):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float16)
    # Buffers, such as rotary frequencies, are no weights: they live on the GPU.
    fresh = type(model.model.rotary_emb)(config=model.config)
    model.model.rotary_emb = fresh.cuda()
    return model.eval()


def read_weights(folder):
    weights = {}
    for file in sorted(os.listdir(folder)):
        if file.endswith('.safetensors'):
            weights.update(load_file(os.path.join(folder, file)))
    return weights


def set_parameters(module, prefix, tensors):
    for name, _ in list(module.named_parameters()):
        owner, _, leaf = name.rpartition('.')
        setattr(module.get_submodule(owner), leaf, torch.nn.Parameter(tensors[f'{prefix}.{name}'], requires_grad=False))


def accelerate(folder, options):
    limits = {0: f'{options.gpu}GiB', 'cpu': f'{options.cpu}GiB'}
    return AutoModelForCausalLM.from_pretrained(folder, device_map='auto', max_memory=limits, dtype=torch.float16, offload_folder=options.offload).eval()


def eager(folder, options, pinned=False):
    model, weights = empty_model(folder), read_weights(folder)
    if pinned:
        weights = {name: tensor.pin_memory() for name, tensor in weights.items()}
    for prefix, module in modules_of(model):
        mine = {name: weights[name] for name in weights if name.startswith(prefix + '.')}
        module.register_forward_pre_hook(lambda module, _, prefix=prefix, mine=mine: set_parameters(module, prefix, {name: tensor.to('cuda', non_blocking=pinned) for name, tensor in mine.items()}))
        module.register_forward_hook(lambda module, *_, prefix=prefix, mine=mine: set_parameters(module, prefix, mine))
        set_parameters(module, prefix, mine)
    return model


def airllm(folder, options):
    model = empty_model(folder)
    files = {}
    for name in os.listdir(folder):
        if name.endswith('.safetensors'):
            with safe_open(os.path.join(folder, name), 'pt') as file:
                files.update(dict.fromkeys(file.keys(), name))
    order, worker, waiting = modules_of(model), concurrent.futures.ThreadPoolExecutor(1), {}
    libc = ctypes.CDLL('libc.so.6')

    def read(prefix):
        names, tensors = [name for name in files if name.startswith(prefix + '.')], {}
        for part in {files[name] for name in names}:
            with safe_open(os.path.join(folder, part), 'pt') as file:
                tensors.update({name: file.get_tensor(name).pin_memory() for name in names if files[name] == part})
        return tensors

    def before(module, number):
        prefix = order[number][0]
        tensors = waiting.pop(number).result() if number in waiting else read(prefix)
        if number + 1 < len(order):
            waiting[number + 1] = worker.submit(read, order[number + 1][0])
        set_parameters(module, prefix, {name: tensor.to('cuda') for name, tensor in tensors.items()})

    def after(module):
        module.to('meta')
        gc.collect()
        libc.malloc_trim(0)
        torch.cuda.empty_cache()

    for number, (_, module) in enumerate(order):
        module.register_forward_pre_hook(lambda module, _, number=number: before(module, number))
        module.register_forward_hook(lambda module, *_: after(module))
    return model


@torch.inference_mode()
def measure(model, prompt, tokens):
    ids = torch.arange(prompt, device='cuda').mul(7919).remainder(model.config.vocab_size)[None]
    torch.cuda.synchronize()
    started = time.perf_counter()
    out = model(input_ids=ids, use_cache=True, logits_to_keep=1)
    token = out.logits[:, -1:].argmax(-1).to('cuda')
    torch.cuda.synchronize()
    prefill, started = time.perf_counter() - started, time.perf_counter()
    for _ in range(tokens - 1):
        out = model(input_ids=token, past_key_values=out.past_key_values, use_cache=True)
        token = out.logits[:, -1:].argmax(-1).to('cuda')
    torch.cuda.synchronize()
    return {'prompt': prompt, 'prefill_s': prefill, 'decode_s_per_token': (time.perf_counter() - started) / (tokens - 1), 'streamed_bytes_per_token': 0}


METHODS = {'accelerate': accelerate, 'eager': eager, 'eager-pinned': lambda folder, options: eager(folder, options, pinned=True), 'airllm': airllm}


def run(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument('method', choices=METHODS)
    parser.add_argument('folder')
    parser.add_argument('--gpu', type=float, default=8)
    parser.add_argument('--cpu', type=float, default=100)
    parser.add_argument('--offload', default='/tmp/offload')
    parser.add_argument('--prompt', default='512')
    parser.add_argument('--tokens', type=int, default=5)
    parser.add_argument('--rounds', type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(os.cpu_count())
    started = time.perf_counter()
    model = METHODS[options.method](options.folder, options)
    torch.cuda.synchronize()
    load = time.perf_counter() - started
    lengths = [int(length) for length in options.prompt.split(',')]
    measure(model, 8, 2)  # the first call's costs are nobody's
    torch.cuda.reset_peak_memory_stats()
    rounds = [measure(model, length, options.tokens) for _ in range(options.rounds) for length in lengths]
    print(json.dumps({'load_s': load, 'rounds': rounds, 'gpu_peak_bytes': torch.cuda.max_memory_reserved()}))


if sys.argv[1:2] == ['run']:
    run(sys.argv[2:])
else:
    sys.exit(__doc__)

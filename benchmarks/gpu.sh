#!/usr/bin/env bash
# One call of at most nine minutes on a machine with an NVIDIA GPU:
#
#   benchmarks/gpu.sh OUTDIR
#
# runs the tests that need a GPU, measures the throughput of the preset beside the device's own limits, and trains a
# slice of its networks, all at once. Called again with the same OUTDIR, the trainings go on where they were saved.
#
# DEVICE=cpu PRESET=tiny BUDGET=120 benchmarks/gpu.sh OUTDIR is a rehearsal without a GPU.
set -euo pipefail
out=$(mkdir -p "${1:?usage: benchmarks/gpu.sh OUTDIR}" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
device=${DEVICE:-cuda} preset=${PRESET:-paper} budget=${BUDGET:-540} python=${PYTHON:-python3}
rehearsal=$([[ $device == cpu ]] && echo yes || echo no)
puzzles=${PUZZLES:-$([[ $rehearsal == yes ]] && echo 512 || echo 200000)}

# PyTorch stays as it is: pip leaves alone what is there and new enough.
if ! "$python" -c "import planorder.bench, pytest_benchmark, hypothesis" 2>"$out/import.log"; then
    "$python" -m pip install -e ".[dev]"
fi

echo "== tests that need a GPU"
status=0
timeout 150 "$python" -m pytest -m cuda tests -rs 2>&1 | tee "$out/tests.log" || status=$?

echo "== throughput"
PYTHONPATH=. timeout 200 "$python" benchmarks/gpu_throughput.py --device "$device" --preset "$preset" --out "$out" \
    --seconds $((budget / 4)) --scale "$([[ $rehearsal == yes ]] && echo 0.01 || echo 1)" || status=$?

data=$out/train-$puzzles.npz
if [[ ! -e $data ]]; then
    echo "== $puzzles training puzzles"
    "$python" -m puzzles.generate sudoku --n "$puzzles" --out "$data"
fi

# Small networks leave a large GPU idle, so the three share it. A state is saved every other minute, and what was
# trained after the last one is trained again by the next call.
left=$((budget - SECONDS - 15))
echo "== training for $left seconds"
jobs=()
for model in relational transformer ar-solver; do
    timeout -k 10 "$left" "$python" -m planorder train sudoku --preset "$preset" --model "$model" --data "$data" \
        --device "$device" --out "$out/$model" >"$out/$model.log" 2>&1 &
    jobs+=($!)
done
for job in "${jobs[@]}"; do
    code=0
    wait "$job" || code=$?
    # 124: stopped by timeout, as meant.
    [[ $code == 0 || $code == 124 ]] || status=$code
done
for model in relational transformer ar-solver; do
    echo "$model: $(tail -n 1 "$out/$model/metrics.jsonl" 2>/dev/null || tail -n 1 "$out/$model.log")"
done
echo "finished in $SECONDS seconds, exit code $status"
exit "$status"
